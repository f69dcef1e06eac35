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
