// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The partition that ends last on a disk, and the edits that let it go on to the disk's end.
package struct LastPartition: Sendable {
    /// What of a disk is read: bytes at whole sectors.
    package typealias Reader = (Range<UInt64>) throws -> [UInt8]

    /// Where a partition should end: what lies on it counts in larger units than sectors. Bytes.
    private static let alignment: UInt64 = 1 << 20

    package let number: Int
    /// On the disk, in bytes.
    package let offset: UInt64
    /// Bytes.
    package let size: UInt64
    let sectorSize: UInt64
    let table: Table

    enum Table {
        case gpt(GUIDPartitionTable)
        case primary(MasterBootRecord, MasterBootRecord.Entry)
        case logical(LogicalPartition)
    }

    /// - Parameters:
    ///   - diskSize: of the disk, or of the image that is asked for, in bytes.
    ///   - read: is asked for the table, and for nothing behind it but the records of logical partitions.
    /// - Throws: `TableFault` when there is none, or none that can grow; what `read` throws.
    package init(diskSize: UInt64, sectorSize: UInt64, read: Reader) throws {
        self.sectorSize = sectorSize
        let start = try read(0..<min(diskSize, 1 << 20))
        guard let record = MasterBootRecord(start) else { throw TableFault("it has no partition table") }
        if record.isProtective {
            var picture = DiskPicture(size: diskSize)
            picture.add(start, at: 0)
            let gpt = try GUIDPartitionTable(picture, headerAt: 1, sectorSize: sectorSize)
            guard let last = gpt.partitions.max(by: { $0.last < $1.last }) else { throw Self.none }
            guard record.wholeDiskEntry != nil else {
                throw TableFault("it has a hybrid MBR, whose entries would have to grow as well")
            }
            number = last.number
            offset = last.first * sectorSize
            size = (last.last - last.first + 1) * sectorSize
            table = .gpt(gpt)
            return
        }
        let container = record.entries.first(where: \.isContainer)
        let logical = try container.map {
            try LogicalPartition.all(in: $0, of: record, sectorSize: sectorSize, diskSize: diskSize, read: read)
        }
        let primary = record.entries.filter { !$0.isContainer }.max { $0.end < $1.end }
        let last = logical?.max { $0.end < $1.end }
        if let last, last.end > primary?.end ?? 0 {
            number = last.number
            offset = last.first * sectorSize
            size = last.count * sectorSize
            table = .logical(last)
            return
        }
        guard let primary else { throw Self.none }
        if let container, container.first > primary.first {
            throw TableFault("an extended partition lies behind its last partition")
        }
        number = primary.index + 1
        offset = UInt64(primary.first) * sectorSize
        size = UInt64(primary.count) * sectorSize
        table = .primary(record, primary)
    }

    private static let none = TableFault("its partition table is empty")

    /// - Parameter diskSize: bytes.
    /// - Returns: the size that it can have, in bytes, and the edits in the order in which they are to be written: the
    ///   last one decides. Nil where it ends at the disk's end already.
    package func grown(diskSize: UInt64) -> (size: UInt64, edits: [TableEdit])? {
        let sectors = diskSize / sectorSize
        switch table {
        case .gpt(let gpt):
            // Where the backup stands there can be no partition, whatever the table says.
            guard gpt.alternateSector < sectors, gpt.alternateSector > gpt.entrySectors else { return nil }
            let end = end(before: min(gpt.lastUsable + 1, gpt.alternateSector - gpt.entrySectors))
            guard let count = count(to: end) else { return nil }
            let primary = gpt.extended(number, to: end - 1)
            let backup = primary.backup()
            return (
                count * sectorSize,
                [backup.entriesEdit, backup.headerEdit, primary.entriesEdit, primary.headerEdit]
            )
        case .primary(let record, let entry):
            guard let count = count(to: end(before: min(sectors, UInt64(UInt32.max)))) else { return nil }
            let edit = TableEdit(offset: 0, bytes: record.resized(entry, count: UInt32(clamping: count)).bytes)
            return (count * sectorSize, [edit])
        case .logical(let partition):
            let end = end(before: min(sectors, UInt64(UInt32.max)))
            guard let count = count(to: end) else { return nil }
            return (count * sectorSize, partition.edits(end: end, sectorSize: sectorSize))
        }
    }

    private func end(before limit: UInt64) -> UInt64 {
        limit / max(1, Self.alignment / sectorSize) * max(1, Self.alignment / sectorSize)
    }

    /// - Returns: sectors; nil unless they are more than it has.
    private func count(to end: UInt64) -> UInt64? {
        let first = offset / sectorSize
        return end > first && end - first > size / sectorSize ? end - first : nil
    }
}

extension MasterBootRecord.Entry {
    /// The sector behind it.
    var end: UInt64 { UInt64(first) + UInt64(count) }
}

/// A partition in the container of an MBR: a record of its own, which says where the next record stands.
struct LogicalPartition: Sendable {
    private static let mostPartitions = 128

    /// From 5 on.
    let number: Int
    /// In sectors of the disk.
    let first: UInt64
    let count: UInt64
    private let record: (sector: UInt64, content: MasterBootRecord, entry: MasterBootRecord.Entry)
    /// The record before, and its entry that leads here.
    private let previous: (sector: UInt64, content: MasterBootRecord, link: MasterBootRecord.Entry)?
    private let disk: MasterBootRecord
    private let container: MasterBootRecord.Entry

    var end: UInt64 { first + count }

    static func all(
        in container: MasterBootRecord.Entry,
        of disk: MasterBootRecord,
        sectorSize: UInt64,
        diskSize: UInt64,
        read: LastPartition.Reader
    ) throws -> [LogicalPartition] {
        var found: [LogicalPartition] = []
        var previous: (sector: UInt64, content: MasterBootRecord, link: MasterBootRecord.Entry)?
        var sector = UInt64(container.first)
        // A record may lead back to one before it.
        for _ in 0..<mostPartitions {
            guard (sector + 1) * sectorSize <= diskSize else {
                throw TableFault("its logical partitions lie behind its end")
            }
            let bytes = try read((sector * sectorSize)..<((sector + 1) * sectorSize))
            guard let content = MasterBootRecord(bytes) else {
                // The container of no partition has no record.
                if found.isEmpty, previous == nil { return [] }
                throw TableFault("the record of its logical partition \(found.count + 5) is damaged")
            }
            if let entry = content.entries.first(where: { !$0.isContainer }) {
                found.append(
                    LogicalPartition(
                        number: found.count + 5,
                        first: sector + UInt64(entry.first),
                        count: UInt64(entry.count),
                        record: (sector, content, entry),
                        previous: previous,
                        disk: disk,
                        container: container
                    )
                )
            }
            guard let link = content.entries.first(where: \.isContainer) else { return found }
            previous = (sector, content, link)
            sector = UInt64(container.first) + UInt64(link.first)
        }
        throw TableFault("its logical partitions have no end")
    }

    /// From the outside to the inside: whatever of it is written, no part reaches beyond what holds it.
    func edits(end: UInt64, sectorSize: UInt64) -> [TableEdit] {
        var edits: [TableEdit] = []
        func put(_ sector: UInt64, _ record: MasterBootRecord) {
            edits.append(TableEdit(offset: sector * sectorSize, bytes: record.bytes))
        }
        if end > container.end {
            put(0, disk.resized(container, count: UInt32(clamping: end - UInt64(container.first))))
        }
        if let previous {
            put(previous.sector, previous.content.resized(previous.link, count: UInt32(clamping: end - record.sector)))
        }
        put(record.sector, record.content.resized(record.entry, count: UInt32(clamping: end - first)))
        return edits
    }
}
