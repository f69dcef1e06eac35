// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model
import PartitionTables

/// An image that QEMU's storage daemon shows as a raw file: vmdk, vdi, vhdx, vpc, and qcow2 with compressed clusters.
package struct ExportedSource: RandomAccessSource {
    package let facts: ImageFacts
    package let extents: [Extent]
    package let files: [String]
    package var size: UInt64 { content.size }
    private let stored: [ImageFile]
    private let content: ImageFile
    private let daemon: StorageDaemon

    /// - Throws: `bad-image`, `unavailable` when a program is missing.
    init(_ file: ImageFile, format: ImageFormat) async throws {
        let infos = try await QemuImage.chain(of: file.path, format: format.rawValue)
        guard let info = infos.first else { throw FlashlayerError(.badImage, "qemu-img says nothing of \(file.path)") }
        let extentFiles = info.specific?.data?.extents?.map(\.filename).filter { $0 != file.path } ?? []
        stored = [file] + (try (infos.dropFirst().map(\.filename) + extentFiles).map { try ImageFile($0) })
        files = stored.map(\.path)
        // QEMU reads zeros behind the end of a file; an image that needs them is truncated.
        if stored.count == 1 {
            for entry in try await QemuImage.map(of: file.path, size: info.virtualSize, format: format.rawValue)
            where entry.data && !entry.zero {
                guard let offset = entry.offset else { continue }
                guard offset + entry.length <= file.size.roundedUp(to: 4096) else {
                    throw file.truncated(at: file.size)
                }
            }
        }
        daemon = try await StorageDaemon(file.path, format: format.rawValue, size: info.virtualSize)
        content = try ImageFile(daemon.path)
        extents = content.extents()
        facts = ImageFacts(
            path: file.path,
            format: format.rawValue,
            size: content.size,
            tableSectorSize: PartitionTableProbe.sectorSize(
                in: try content.prefix(PartitionTableProbe.length),
                size: content.size
            )
        )
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        do {
            try unsafe content.read(into: buffer, at: offset)
        } catch let error as FlashlayerError {
            throw FlashlayerError(
                .badImage,
                "\(facts.path) is damaged: its content cannot be read at byte \(offset)",
                advice: "check it: qemu-img check \(facts.path)",
                offset: error.offset
            )
        }
    }

    package func confirmUnchanged() throws {
        for file in stored { try file.confirmUnchanged() }
    }
}
