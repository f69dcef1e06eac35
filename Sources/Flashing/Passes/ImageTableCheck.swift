// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model
import PartitionTables

/// Whether an image's partition table fits the image and the disk. A seekable image is asked before anything is written,
/// a stream at its end, when its size is known.
struct ImageTableCheck {
    private let name: String
    private let head: [UInt8]
    /// Bytes.
    private let size: UInt64

    /// - Throws: `bad-image` when the image cannot be read.
    init(_ source: any RandomAccessSource) throws {
        name = source.facts.path
        size = source.size
        head = try source.bytes(0..<min(source.size, ImageEnds.length))
    }

    init(_ ends: ImageEnds, of name: String) {
        self.name = name
        size = ends.ranges.last?.upperBound ?? 0
        head = ends.head
    }

    /// Nil where all partitions lie in the image.
    var fault: String? {
        CutPartition(head: head, imageSize: size).map { partition in
            "\(name) is truncated: its partition \(partition.number) ends at byte \(partition.end), "
                + "the image at byte \(size)"
        }
    }

    /// - Throws: `bad-image` when a partition ends behind the image.
    func confirmWhole() throws {
        guard let fault else { return }
        throw FlashlayerError(
            .badImage,
            fault,
            advice: "copy or download it again; --gpt keep writes it as it is",
            offset: size
        )
    }

    /// - Parameters:
    ///   - sectorSize: of the disk, in bytes.
    ///   - path: of the disk.
    /// - Throws: `sector-size`.
    func confirm(sectorSize: UInt64, of path: String) throws {
        try Self.confirm(PartitionTableProbe.sectorSize(in: head, size: size), sectorSize: sectorSize, of: path)
    }

    /// - Parameter made: what the image's table was made for, in bytes; nil where nothing tells.
    static func confirm(_ made: Int?, sectorSize: UInt64, of path: String) throws {
        guard let made, UInt64(made) != sectorSize else { return }
        throw FlashlayerError(
            .sectorSize,
            "the image's partition table counts in \(made) bytes, \(path) in \(sectorSize)",
            advice: "build the image for this sector size, or take another disk"
        )
    }
}
