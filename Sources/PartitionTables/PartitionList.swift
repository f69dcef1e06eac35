// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What a partition table says of a disk, to tell how two of them differ.
package struct PartitionList: Sendable, Equatable {
    /// Of the disk, then of each partition: GUIDs, or the signature of an MBR.
    package let names: [[UInt8]]
    /// Number, first sector and last one of each partition.
    package let places: [[UInt64]]

    /// - Parameter head: the first MiB of a disk, or less where that is all.
    /// - Returns: nil without a table that is in order.
    package init?(head: [UInt8], sectorSize: UInt64) {
        guard let record = MasterBootRecord(head) else { return nil }
        guard record.isProtective else {
            names = [Array(record.bytes[440..<444])]
            places = record.entries.map { [UInt64($0.index), UInt64($0.first), $0.end] }
            return
        }
        var picture = DiskPicture(size: UInt64(head.count))
        picture.add(head, at: 0)
        guard let table = try? GUIDPartitionTable(picture, headerAt: 1, sectorSize: sectorSize) else { return nil }
        names = table.names
        places = table.partitions.map { [UInt64($0.number), $0.first, $0.last] }
    }
}
