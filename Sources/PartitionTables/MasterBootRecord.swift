// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The first sector of a disk, or that of a logical partition: four entries behind boot code.
package struct MasterBootRecord: Sendable, Equatable {
    package static let length = 512
    private static let firstEntry = 446
    private static let entryLength = 16
    static let protectiveType: UInt8 = 0xEE

    struct Entry: Equatable {
        /// From 0 to 3.
        let index: Int
        let type: UInt8
        /// In sectors: of a logical partition, from the record that it stands in.
        let first: UInt32
        let count: UInt32

        /// It holds logical partitions, and no data of its own.
        var isContainer: Bool { [0x05, 0x0F, 0x85].contains(type) }
    }

    private(set) var bytes: [UInt8]

    /// - Parameter bytes: the first 512 of a sector.
    /// - Returns: nil when they are no partition table: the boot sector of a file system is none.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.length, bytes[510] == 0x55, bytes[511] == 0xAA else { return nil }
        self.bytes = Array(bytes[..<Self.length])
        let flags = (0..<4).map { bytes[Self.firstEntry + $0 * Self.entryLength] }
        guard flags.allSatisfy({ $0 == 0 || $0 == 0x80 }), !isFileSystem else { return nil }
    }

    /// FAT, exFAT and NTFS have the same two bytes at the end of their boot sector.
    private var isFileSystem: Bool {
        [(3, "NTFS    "), (3, "EXFAT   "), (54, "FAT1"), (82, "FAT32   ")].contains { place, word in
            bytes[place..<(place + word.utf8.count)].elementsEqual(word.utf8)
        }
    }

    /// Those that are in use.
    var entries: [Entry] {
        (0..<4).map { index in
            let place = Self.firstEntry + index * Self.entryLength
            return Entry(
                index: index,
                type: bytes[place + 4],
                first: bytes.number(at: place + 8),
                count: bytes.number(at: place + 12)
            )
        }
        .filter { $0.type != 0 && $0.count != 0 }
    }

    /// It says that the disk has a GPT, alone or beside partitions of its own.
    package var isProtective: Bool { entries.contains { $0.type == Self.protectiveType } }

    /// The one entry that covers the disk of a GPT; nil where there are others beside it (a hybrid MBR), which somebody
    /// has set as he wants them.
    var wholeDiskEntry: Entry? {
        guard entries.count == 1, let entry = entries.first, entry.type == Self.protectiveType, entry.first == 1
        else { return nil }
        return entry
    }

    /// Another length for an entry, in sectors.
    func resized(_ entry: Entry, count: UInt32) -> Self {
        var record = self
        record.bytes.put(count, at: Self.firstEntry + entry.index * Self.entryLength + 12)
        return record
    }
}
