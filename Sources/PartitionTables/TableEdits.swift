// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Bytes that stand on a disk instead of the image's.
package struct TableEdit: Sendable, Equatable {
    /// On the disk, in bytes.
    package let offset: UInt64
    package let bytes: [UInt8]

    package var range: Range<UInt64> { offset..<(offset + UInt64(bytes.count)) }
}

/// What makes the partition table of an image right for a disk: computed from the image's ends alone, before anything
/// is touched.
///
/// An MBR knows nothing of the end of its disk, so only a GPT is edited: its backup goes to the disk's last sectors,
/// where tools and firmware look for it, and the one at the image's end is zeroed.
package struct TableEdits: Sendable {
    /// In the order of their places; none overlaps another.
    package private(set) var edits: [TableEdit] = []
    /// What is wrong with the image's table, as sentences.
    package private(set) var notes: [String] = []
    /// The image has a GPT that is in order.
    package private(set) var hasTable = false

    /// - Parameters:
    ///   - image: its first MiB and its last one; that of the backup as well where it stands elsewhere and can be read.
    ///   - diskSize: of the disk that it is written to, in bytes.
    ///   - sectorSize: of the disk, in bytes.
    ///   - newGUID: gives fresh GUIDs, 16 bytes each, for the disk and its partitions; nil keeps those of the image.
    package init(image: DiskPicture, diskSize: UInt64, sectorSize: UInt64, newGUID: (() -> [UInt8])? = nil) {
        switch Self.read(image, sectorSize) {
        case .none: return
        case .damaged(let fault):
            notes = ["the image's partition table is damaged (\(fault.sentence)): it is written as it is"]
            return
        case .table(let record, let table):
            relocate(table, record, image, last: diskSize / sectorSize - 1, newGUID)
        }
    }

    private enum Reading {
        case none
        case damaged(TableFault)
        case table(MasterBootRecord, GUIDPartitionTable)
    }

    private static func read(_ image: DiskPicture, _ sectorSize: UInt64) -> Reading {
        let start = image.bytes(0..<min(UInt64(MasterBootRecord.length), image.size))
        let record = start.flatMap { MasterBootRecord($0) }
        let header = image.bytes(sectorSize..<(sectorSize + 8))
        let hasHeader = header.map { $0 == GUIDPartitionTable.signature } ?? false
        guard let record, record.isProtective else {
            // Without its protective MBR it is no GPT for the kernel: an ISO image may have one for other firmware.
            return hasHeader ? .damaged(TableFault("a GPT without a protective MBR")) : .none
        }
        do {
            return .table(record, try GUIDPartitionTable(image, headerAt: 1, sectorSize: sectorSize))
        } catch {
            return .damaged(error)
        }
    }

    private mutating func relocate(
        _ table: GUIDPartitionTable,
        _ record: MasterBootRecord,
        _ image: DiskPicture,
        last: UInt64,
        _ newGUID: (() -> [UInt8])?
    ) {
        let sector = table.sectorSize
        let end = table.partitions.max { $0.last < $1.last }
        if let end, (end.last + 1) * sector > image.size {
            notes.append("partition \(end.number) of the image ends behind the end of the image")
        }
        guard last > table.entrySectors + 2, table.lastUsable(before: last) >= max(end?.last ?? 0, table.firstUsable)
        else {
            notes.append("the disk has no room for the backup of the image's partition table: it is written as it is")
            return
        }
        hasTable = true
        let backup = try? GUIDPartitionTable(image, headerAt: table.alternateSector, sectorSize: sector)
        // Where its entries stand is its own choice.
        let isComplete = backup.map { $0 == table.backup(entriesAt: $0.entriesSector) } ?? false
        guard table.alternateSector != last || newGUID != nil else {
            if !isComplete {
                notes.append("the backup of the image's partition table is damaged: it is written as it is")
            }
            return
        }
        let place = table.alternateSector * sector
        if place + sector <= image.size, image.bytes(place..<(place + sector)) == nil {
            notes.append(
                "the backup of the image's partition table does not stand at the image's end, and was not looked at: "
                    + "the disk gets a new one at its end"
            )
        } else if !isComplete {
            notes.append("the backup of the image's partition table is damaged or missing: the disk gets a new one")
        }
        let named = newGUID.map { table.renamed($0) } ?? table
        let primary = named.primary(last: last)
        let moved = primary.backup()
        if newGUID != nil { put(primary.entriesEdit) }
        put(primary.headerEdit)
        put(moved.entriesEdit)
        put(moved.headerEdit)
        if let entry = record.wholeDiskEntry {
            let resized = record.resized(entry, count: UInt32(clamping: last))
            if resized != record { put(TableEdit(offset: 0, bytes: resized.bytes)) }
        }
        for old in Set([table.alternateSector, image.size / sector - 1]) {
            clear(image, old, sector, behind: end?.last ?? 1)
        }
        edits.sort { $0.offset < $1.offset }
    }

    /// Zeroes a backup that stands in the image, so that no tool ever takes it for one of this disk. What the ends of the
    /// image do not show stands where no tool looks.
    private mutating func clear(_ image: DiskPicture, _ sector: UInt64, _ sectorSize: UInt64, behind last: UInt64) {
        let start = sector.multipliedReportingOverflow(by: sectorSize)
        guard sector > last, !start.overflow, start.partialValue < image.size,
            let header = image.bytes(start.partialValue..<(start.partialValue + sectorSize)),
            header.starts(with: GUIDPartitionTable.signature)
        else { return }
        var first = sector
        if let old = try? GUIDPartitionTable(image, headerAt: sector, sectorSize: sectorSize),
            old.entriesSector > last, old.entriesSector < sector
        {
            first = old.entriesSector
        }
        zero((first * sectorSize)..<(start.partialValue + sectorSize))
    }

    /// Zeroes what no edit has said anything of.
    private mutating func zero(_ range: Range<UInt64>) {
        var rest = [range]
        for edit in edits {
            rest = rest.flatMap { part in
                [
                    part.lowerBound..<max(part.lowerBound, min(part.upperBound, edit.range.lowerBound)),
                    min(part.upperBound, max(part.lowerBound, edit.range.upperBound))..<part.upperBound,
                ]
                .filter { !$0.isEmpty }
            }
        }
        for part in rest { put(TableEdit(offset: part.lowerBound, bytes: [UInt8](repeating: 0, count: part.count))) }
    }

    private mutating func put(_ edit: TableEdit) {
        edits.append(edit)
    }
}
