// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A partition of which an image has a part only, since the image was cut off.
package struct CutPartition: Sendable, Equatable {
    package let number: Int
    /// Where it ends by the table, in bytes.
    package let end: UInt64

    /// Looks for the partition that ends last.
    ///
    /// - Parameters:
    ///   - head: the first MiB of the image, or less where that is all.
    ///   - imageSize: bytes.
    /// - Returns: nil where it ends in the image, and where there is no table that is in order.
    package init?(head: [UInt8], imageSize: UInt64) {
        guard let sectorSize = PartitionTableProbe.sectorSize(in: head, size: imageSize).map(UInt64.init),
            let record = MasterBootRecord(head)
        else { return nil }
        var ends = record.entries.map { (number: $0.index + 1, end: $0.end) }
        if record.isProtective {
            var picture = DiskPicture(size: imageSize)
            picture.add(head, at: 0)
            guard let table = try? GUIDPartitionTable(picture, headerAt: 1, sectorSize: sectorSize) else { return nil }
            ends = table.partitions.map { (number: $0.number, end: $0.last + 1) }
        }
        guard let last = ends.max(by: { $0.end < $1.end }), last.end * sectorSize > imageSize else { return nil }
        number = last.number
        end = last.end * sectorSize
    }
}
