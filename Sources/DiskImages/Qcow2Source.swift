// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
package import Model
import PartitionTables

/// A qcow2 image whose clusters stand in their files as they are: they are read from there, past QEMU.
package struct Qcow2Source: RandomAccessSource {
    /// A run of the image and where its bytes are.
    private struct Run {
        let extent: Extent
        let file: Int
        /// In that file, in bytes.
        let offset: UInt64
    }

    /// Its bytes do not stand in its files as they are.
    struct HasCompressedClusters: Error {}

    package let facts: ImageFacts
    package let size: UInt64
    private let chain: [ImageFile]
    private let runs: [Run]

    /// - Parameter file: the image itself; its backing files are opened here.
    init(_ file: ImageFile) async throws {
        // Before the map is taken: what it says holds for as long as nobody writes.
        try file.lockAgainstVirtualMachines()
        let infos = try await QemuImage.chain(of: file.path)
        guard let info = infos.first else { throw FlashlayerError(.badImage, "qemu-img says nothing of \(file.path)") }
        try Self.check(infos)
        let backing = try infos.dropFirst().map { info in
            let file = try ImageFile(info.filename)
            try file.lockAgainstVirtualMachines()
            return file
        }
        let chain = [file] + backing
        let map = try await QemuImage.map(of: file.path, size: info.virtualSize)
        runs = try Self.runs(of: map, in: chain, size: info.virtualSize)
        self.chain = chain
        size = info.virtualSize

        let start = AlignedBuffer(count: PartitionTableProbe.length)
        let length = min(UInt64(start.count), info.virtualSize)
        let probed = unsafe UnsafeMutableRawBufferPointer(rebasing: start.mutableBytes[..<Int(length)])
        try unsafe Self.read(runs, chain, into: probed, at: 0)
        facts = ImageFacts(
            path: file.path,
            format: "qcow2",
            size: info.virtualSize,
            tableSectorSize: PartitionTableProbe.sectorSize(in: unsafe Array(probed), size: info.virtualSize)
        )
    }

    package var files: [String] { chain.map(\.path) }
    package var extents: [Extent] { runs.map(\.extent) }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        try unsafe Self.read(runs, chain, into: buffer, at: offset)
    }

    package func cachedPlace(at offset: UInt64, count: Int) -> FilePlace? {
        let index = runs.partitionPoint { $0.extent.end <= offset }
        guard index < runs.count, case let run = runs[index], run.extent.kind == .data,
            run.extent.end >= offset + UInt64(count)
        else { return nil }
        return chain[run.file].cachedPlace(at: run.offset + (offset - run.extent.offset), count: count)
    }

    package func confirmUnchanged() throws {
        for file in chain { try file.confirmUnchanged() }
    }

    /// What cannot be read as it stands, with what to do about it.
    private static func check(_ infos: [QemuImage.Info]) throws {
        for info in infos {
            let convert = "qemu-img convert -O qcow2 \(info.filename) IMAGE.qcow2"
            if info.encrypted == true {
                throw FlashlayerError(
                    .badImage,
                    "\(info.filename) is encrypted",
                    advice: "decrypt it first: qemu-img convert --object secret,id=key,file=KEYFILE --image-opts "
                        + "driver=qcow2,encrypt.key-secret=key,file.filename=\(info.filename) -O raw IMAGE.raw"
                )
            }
            if info.specific?.data?.corrupt == true || info.dirty == true {
                throw FlashlayerError(
                    .badImage,
                    "\(info.filename) is marked as damaged or not closed cleanly",
                    advice: "check it: qemu-img check -r leaks \(info.filename)"
                )
            }
            if let file = info.specific?.data?.dataFile {
                throw FlashlayerError(
                    .badImage,
                    "\(info.filename) keeps its data in another file, \(file)",
                    advice: convert
                )
            }
            guard ["qcow2", "raw"].contains(info.format) else {
                throw FlashlayerError(.badImage, "\(info.filename) is \(info.format) below a qcow2", advice: convert)
            }
        }
    }

    private static func runs(of map: [QemuImage.MapEntry], in chain: [ImageFile], size: UInt64) throws -> [Run] {
        var runs: [Run] = []
        var position: UInt64 = 0
        for entry in map where position < size {
            let length = min(entry.length, size - position)
            guard entry.start == position, entry.depth < chain.count else {
                throw FlashlayerError(.badImage, "qemu-img's map of \(chain[0].path) has a gap at byte \(position)")
            }
            if entry.zero || !entry.data {
                let extent = Extent(offset: position, length: length, kind: .zero)
                runs.append(Run(extent: extent, file: entry.depth, offset: 0))
            } else {
                guard let offset = entry.offset else { throw HasCompressedClusters() }
                let file = chain[entry.depth]
                // QEMU reads zeros behind the end of a file; an image that needs them is truncated.
                guard offset + length <= file.size.roundedUp(to: 4096) else { throw file.truncated(at: file.size) }
                let extent = Extent(offset: position, length: length, kind: .data)
                runs.append(Run(extent: extent, file: entry.depth, offset: offset))
            }
            position += length
        }
        guard position == size else {
            throw FlashlayerError(.badImage, "qemu-img's map of \(chain[0].path) ends at byte \(position) of \(size)")
        }
        return runs
    }

    private static func read(
        _ runs: [Run],
        _ chain: [ImageFile],
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws {
        let end = offset + UInt64(buffer.count)
        var index = runs.partitionPoint { $0.extent.end <= offset }
        while index < runs.count, runs[index].extent.offset < end {
            let run = runs[index]
            let from = max(offset, run.extent.offset)
            let to = min(end, run.extent.end)
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[Int(from - offset)..<Int(to - offset)])
            switch run.extent.kind {
            case .zero: unsafe part.initializeMemory(as: UInt8.self, repeating: 0)
            case .data: try unsafe chain[run.file].read(into: part, at: run.offset + (from - run.extent.offset))
            }
            index += 1
        }
    }
}

extension Array {
    /// The first index whose element does not satisfy `belongsBefore`, in an array that is ordered by it.
    fileprivate func partitionPoint(_ belongsBefore: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if belongsBefore(self[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
