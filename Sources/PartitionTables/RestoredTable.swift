// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The way back: what the ends of an image were, told by a disk whose table was edited. It takes no image, only its
/// size, so that a disk can be held to digests alone.
package struct RestoredTable: Sendable, Equatable {
    /// In place of what the disk has there: the image's own bytes.
    package let edits: [TableEdit]
    /// Where the disk must have zeros: the backup stood there. Empty where what stood there was left as it was.
    package let cleared: Range<UInt64>

    /// - Parameters:
    ///   - disk: its first MiB and its last one.
    ///   - imageSize: bytes.
    /// - Returns: what the image may have been, the likeliest first, to be proved by its digests; none where the disk has
    ///   no table that was edited.
    package static func candidates(disk: DiskPicture, imageSize: UInt64, sectorSize: UInt64) -> [RestoredTable] {
        let last = disk.size / sectorSize - 1
        guard imageSize >= sectorSize * 4, imageSize <= disk.size, imageSize % sectorSize == 0,
            let start = disk.bytes(0..<UInt64(MasterBootRecord.length)), let record = MasterBootRecord(start),
            record.isProtective,
            let table = try? GUIDPartitionTable(disk, headerAt: 1, sectorSize: sectorSize),
            table.alternateSector == last, imageSize / sectorSize - 1 < last,
            let backup = try? GUIDPartitionTable(disk, headerAt: last, sectorSize: sectorSize),
            backup == table.backup()
        else { return [] }
        let end = imageSize / sectorSize - 1
        guard end > table.entrySectors + 2 else { return [] }
        let original = table.primary(last: end)
        let old = original.backup()
        let parts = [original.headerEdit, old.entriesEdit, old.headerEdit]
        // Tools disagree on what a protective MBR covers: the disk, or all that it can.
        let records = record.wholeDiskEntry.map { entry in
            [UInt32(clamping: end), .max].map { record.resized(entry, count: $0) }
        }
        // On a disk that is hardly larger the new backup stands where a part of the old one stood.
        let cleared = old.entriesEdit.offset..<min(imageSize, backup.entriesEdit.offset)
        let complete = (records ?? [record]).map { record in
            RestoredTable(edits: [TableEdit(offset: 0, bytes: record.bytes)] + parts, cleared: cleared)
        }
        // An image without a backup, or with one that nobody would take for one, kept what it has there.
        let bare =
            cleared.upperBound < imageSize
            ? []
            : (records ?? [record]).map { record in
                RestoredTable(
                    edits: [TableEdit(offset: 0, bytes: record.bytes), original.headerEdit],
                    cleared: imageSize..<imageSize
                )
            }
        return complete + bare
    }
}
