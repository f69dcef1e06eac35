// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Model
import PartitionTables
import Programs
import Synchronization

/// Lets the last partition of a proved target and its file system go on to the end of the disk.
///
/// The table comes first: a file system that is smaller than its partition is in order, whenever it ends. A program that
/// was begun is not interrupted: it ends by itself, and leaves its file system whole.
struct GrowthPass {
    let target: OpenTarget
    /// Of an image that was a stream: nobody has looked yet at what is behind its last partition.
    let streamed: ImageEnds?

    /// A file system is mounted for one target at a time: copies of one image have one UUID.
    private static let isMounting = Atomic<Bool>(false)

    /// - Returns: nil where the partition ends with the disk already.
    /// - Throws: `cannot-grow`, `unavailable`, `grow-failed`; the target holds the image all the same.
    func run() throws -> FlashResult.Growth? {
        let start = ContinuousClock.now
        target.monitor.emit(.phase(.grow))
        let partition = try GrowthCheck.partition(of: target.path, size: target.size, sectorSize: target.sectorSize) {
            try target.read($0)
        }
        let probed = partition.offset..<(partition.offset + min(partition.size, GrownFileSystem.probeLength))
        let fileSystem = try GrownFileSystem(target.read(probed), of: target.path)
        try fileSystem.confirmPrograms()
        guard let grown = partition.grown(diskSize: target.size) else { return nil }
        if let streamed {
            let limit = partition.offset + grown.size
            try GrowthCheck.confirmTrailingZeros(streamed, on: target, before: limit)
        }
        try clear(from: partition.offset + partition.size, to: partition.offset + grown.size)
        for edit in grown.edits { try put(edit) }
        target.dropCache()
        for edit in grown.edits where try target.read(sectors(of: edit)) != sector(with: edit) {
            throw FlashlayerError(.growFailed, "the partition table of \(target.path) was read back wrong")
        }
        do {
            let range = partition.offset..<(partition.offset + grown.size)
            let window = try PartitionWindow(disk: target.descriptor, range, sectorSize: target.sectorSize)
            try grow(fileSystem, window.path)
        }
        target.dropCache()
        try target.flush()
        return FlashResult.Growth(
            partition: partition.number,
            from: partition.size,
            to: grown.size,
            fileSystem: fileSystem.rawValue,
            seconds: start.elapsed
        )
    }

    // MARK: - The table

    /// What becomes a part of the partition holds no superblock of something older, at neither end.
    private func clear(from start: UInt64, to end: UInt64) throws {
        let length = min(ByteSize.mebibyte, end - start)
        for place in [start, end - length] {
            try target.queue.add(Transfer(.write, .zeros, count: Int(length), offset: place))
            try target.queue.finish()
        }
        try target.flush()
    }

    private func put(_ edit: TableEdit) throws {
        let bytes = try sector(with: edit)
        let buffer = AlignedBuffer(count: bytes.count)
        unsafe buffer.mutableBytes.copyBytes(from: bytes)
        try target.queue.add(
            Transfer(.write, buffer, count: bytes.count, offset: sectors(of: edit).lowerBound)
        )
        try target.queue.finish()
        try target.flush()
    }

    private func sectors(of edit: TableEdit) -> Range<UInt64> {
        edit.range.lowerBound.roundedDown(
            to: target.sectorSize
        )..<edit.range.upperBound.roundedUp(to: target.sectorSize)
    }

    /// Whole sectors, with what stands beside the edit.
    private func sector(with edit: TableEdit) throws -> [UInt8] {
        let range = sectors(of: edit)
        var bytes = try target.read(range)
        let first = Int(edit.offset - range.lowerBound)
        bytes.replaceSubrange(first..<(first + edit.bytes.count), with: edit.bytes)
        return bytes
    }

    // MARK: - The file system

    private func grow(_ fileSystem: GrownFileSystem, _ device: String) throws {
        switch fileSystem {
        case .ext2, .ext3, .ext4:
            // 1: something was mended, such as a last-mount time in the future.
            try run("e2fsck", ["-f", "-p", device], accepting: [0, 1])
            try run("resize2fs", [device])
        case .xfs: try mounted(device, "xfs", options: "nouuid", #"xfs_growfs -d "$4""#)
        case .btrfs:
            try mounted(
                device,
                "btrfs",
                // The kernel remembers a device by its UUID, which the next copy has as well.
                #"btrfs filesystem resize max "$4" && sync -f "$4""#,
                afterwards: #"btrfs device scan --forget "$3" || true"#
            )
        }
    }

    /// Mounts the device where nobody else sees it, in a mount namespace of its own, which takes the mount with it however
    /// it ends.
    ///
    /// - Parameters:
    ///   - command: for the shell; the place is `$4`.
    ///   - afterwards: when it is unmounted; the device is `$3`.
    private func mounted(
        _ device: String,
        _ type: String,
        options: String? = nil,
        _ command: String,
        afterwards: String = ":"
    ) throws {
        var pulse = Pulse(target.monitor)
        while !Self.isMounting.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged {
            pulse.beat()
            usleep(20_000)
        }
        defer { Self.isMounting.store(false, ordering: .releasing) }
        let place = try Self.makePlace()
        defer { unsafe rmdir(place) }
        let script = """
            mount -t "$1" -o "$2" "$3" "$4" || exit
            ( \(command) )
            status=$?
            umount "$4" || exit
            \(afterwards)
            exit $status
            """
        let flags = "nosuid,nodev,noexec" + (options.map { ",\($0)" } ?? "")
        try run(
            "unshare",
            ["--mount", "--propagation", "private", "sh", "-c", script, "sh", type, flags, device, place]
        )
    }

    private static func makePlace() throws -> String {
        for folder in ["/run", "/tmp"] {
            var template = Array("\(folder)/flashlayer-grow-XXXXXX".utf8CString)
            let isMade = unsafe template.withUnsafeMutableBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return false }
                return unsafe mkdtemp(start) != nil
            }
            if isMade { return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) }
        }
        throw FlashlayerError(.growFailed, "no folder could be made in /run or /tmp: \(Errno.current)")
    }

    /// - Throws: `grow-failed`, `unavailable`.
    private func run(_ name: String, _ arguments: [String], accepting: Set<Int32> = [0]) throws {
        let program = try Program(name, debianPackage: name == "unshare" ? "util-linux" : "e2fsprogs")
        let outcome = OneShot<Result<Program.Outcome, any Error>>()
        Task.detached {
            do {
                // A ramdisk's PATH may leave out where administrators' programs live.
                let path = Program.folders.joined(separator: ":")
                outcome.set(.success(try await program.outcome(arguments, environment: ["LC_ALL": "C", "PATH": path])))
            } catch {
                outcome.set(.failure(error))
            }
        }
        var pulse = Pulse(target.monitor)
        while true {
            if let outcome = outcome.current {
                let ended = try outcome.get()
                guard !accepting.contains(ended.status) else { return }
                let said = (ended.output + "\n" + ended.errors).split(separator: "\n").suffix(3).joined(separator: "; ")
                throw FlashlayerError(.growFailed, "\(name) ended with status \(ended.status): \(said)")
            }
            pulse.beat()
            usleep(10_000)
        }
    }
}
