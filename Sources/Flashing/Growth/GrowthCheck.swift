// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model
import PartitionTables

/// Whether what is asked for can be done at all, told by the image alone: before anything is claimed.
struct GrowthCheck {
    /// - Throws: `cannot-grow`, `unavailable`; `bad-image` when the image cannot be read.
    static func run(_ source: any RandomAccessSource) throws {
        let name = source.facts.path
        let partition = try partition(
            of: name,
            size: source.size,
            sectorSize: UInt64(source.facts.tableSectorSize ?? 512)
        ) { try source.bytes($0) }
        let end = min(source.size, partition.offset + min(partition.size, GrownFileSystem.probeLength))
        try GrownFileSystem(source.bytes(partition.offset..<max(partition.offset, end)), of: name).confirmPrograms()
    }

    /// - Throws: `cannot-grow`.
    static func partition(
        of name: String,
        size: UInt64,
        sectorSize: UInt64,
        read: LastPartition.Reader
    ) throws -> LastPartition {
        do {
            return try LastPartition(diskSize: size, sectorSize: sectorSize, read: read)
        } catch let fault as TableFault {
            throw FlashlayerError(
                .cannotGrow,
                "\(name) has no partition that could grow: \(fault.sentence)",
                advice: "leave out --grow"
            )
        }
    }
}

extension RandomAccessSource {
    /// A few bytes, wherever they stand.
    fileprivate func bytes(_ range: Range<UInt64>) throws -> [UInt8] {
        guard !range.isEmpty else { return [] }
        let start = range.lowerBound.roundedDown(to: UInt64(AlignedBuffer.alignment))
        let buffer = AlignedBuffer(count: Int(range.upperBound - start))
        let length = Int(min(UInt64(buffer.count), size - start))
        try unsafe read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<length]), at: start)
        let first = Int(range.lowerBound - start)
        return unsafe Array(buffer.bytes[first..<(first + range.count)])
    }
}
