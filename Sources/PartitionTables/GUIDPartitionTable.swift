// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A GPT: one header with its entries, primary or backup. See chapter 5.3 of the UEFI specification.
package struct GUIDPartitionTable: Sendable, Equatable {
    static let signature = Array("EFI PART".utf8)
    /// The specification's room for entries has 128 of 128 bytes; what does not fit into the first MiB of a disk is none.
    private static let mostEntryBytes: UInt64 = 512 << 10

    /// Sectors, far beyond any disk: numbers up to here can be added, and counted in bytes.
    private static let horizon: UInt64 = 1 << 50

    /// Bytes.
    package let sectorSize: UInt64
    /// A whole sector.
    private(set) var header: [UInt8]
    /// All of them, used or not.
    private(set) var entries: [UInt8]

    /// Reads the table whose header stands in a sector.
    ///
    /// - Throws: what is wrong with it.
    init(_ picture: DiskPicture, headerAt sector: UInt64, sectorSize: UInt64) throws(TableFault) {
        let start = min(sector, Self.horizon) * sectorSize
        guard start + sectorSize <= picture.size, let header = picture.bytes(start..<(start + sectorSize)) else {
            throw TableFault("its header lies behind the end, in sector \(sector)")
        }
        guard header.starts(with: Self.signature) else { throw TableFault("sector \(sector) has no GPT header") }
        let length = Int(header.number(at: 12, as: UInt32.self))
        guard (92...Int(sectorSize)).contains(length) else {
            throw TableFault("the header in sector \(sector) says that it is \(length) bytes long")
        }
        guard Self.checkSum(header, length) == header.number(at: 16, as: UInt32.self) else {
            throw TableFault("the check sum of the header in sector \(sector) is wrong")
        }
        guard header.number(at: 24) == sector else {
            throw TableFault("the header in sector \(sector) says that it belongs into another one")
        }
        self.header = header
        self.sectorSize = sectorSize
        entries = []
        guard [alternateSector, firstUsable, lastUsable, entriesSector].allSatisfy({ $0 < Self.horizon }) else {
            throw TableFault("the header in sector \(sector) names sectors that no disk has")
        }
        let bytes = UInt64(entryCount) * UInt64(entrySize)
        guard entrySize >= 128, entrySize % 8 == 0, entryCount > 0, bytes <= Self.mostEntryBytes else {
            throw TableFault("it has \(entryCount) entries of \(entrySize) bytes")
        }
        let place = entriesSector * sectorSize
        guard place < picture.size, let entries = picture.bytes(place..<(place + bytes))
        else { throw TableFault("its entries lie elsewhere, in sector \(entriesSector)") }
        guard CRC32.of(entries) == header.number(at: 88, as: UInt32.self) else {
            throw TableFault("the check sum of its entries is wrong")
        }
        self.entries = entries
        for partition in partitions where partition.last < partition.first {
            throw TableFault("partition \(partition.number) ends before it begins")
        }
        for partition in partitions where partition.last >= Self.horizon {
            throw TableFault("partition \(partition.number) ends in a sector that no disk has")
        }
    }

    /// Where the primary header says that the backup's header stands, in bytes.
    ///
    /// - Parameters:
    ///   - head: the first MiB of an image, or less where that is all.
    ///   - imageSize: bytes.
    /// - Returns: nil without a primary table that is in order.
    package static func backup(head: [UInt8], imageSize: UInt64) -> UInt64? {
        guard MasterBootRecord(head)?.isProtective ?? false,
            let sectorSize = PartitionTableProbe.sectorSize(in: head, size: imageSize).map(UInt64.init)
        else { return nil }
        var picture = DiskPicture(size: imageSize)
        picture.add(head, at: 0)
        return (try? Self(picture, headerAt: 1, sectorSize: sectorSize)).map { $0.alternateSector * sectorSize }
    }

    var alternateSector: UInt64 { header.number(at: 32) }
    var firstUsable: UInt64 { header.number(at: 40) }
    var lastUsable: UInt64 { header.number(at: 48) }
    var entriesSector: UInt64 { header.number(at: 72) }
    private var entryCount: UInt32 { header.number(at: 80) }
    private var entrySize: UInt32 { header.number(at: 84) }
    var entrySectors: UInt64 { (UInt64(entries.count) + sectorSize - 1) / sectorSize }

    /// A line of the table, in sectors.
    struct Partition: Equatable {
        let number: Int
        let first: UInt64
        /// The last one that belongs to it.
        let last: UInt64
    }

    /// Those that are in use.
    var partitions: [Partition] {
        places.map { number, place in
            Partition(number: number, first: entries.number(at: place + 32), last: entries.number(at: place + 40))
        }
    }

    /// The GUID of the disk, then those of its partitions.
    var names: [[UInt8]] {
        [Array(header[56..<72])] + places.map { Array(entries[($0.place + 16)..<($0.place + 32)]) }
    }

    /// Where the entries that are in use stand. Their type is not zero.
    private var places: [(number: Int, place: Int)] {
        (0..<Int(entryCount)).map { ($0 + 1, $0 * Int(entrySize)) }
            .filter { place in entries[place.1..<(place.1 + 16)].contains { $0 != 0 } }
    }

    /// The last sector of a disk that a partition may have, when the backup stands at its end.
    ///
    /// - Parameter last: the disk's last sector.
    func lastUsable(before last: UInt64) -> UInt64 { last - entrySectors - 1 }

    // MARK: - Changes

    /// The same table as the primary one of a disk that ends with another sector.
    func primary(last: UInt64) -> Self {
        var table = self
        table.header.put(last, at: 32)
        table.header.put(lastUsable(before: last), at: 48)
        table.sum()
        return table
    }

    /// The backup of a primary table, at the end of its disk.
    ///
    /// - Parameter sector: where the entries stand; by default right before the header.
    func backup(entriesAt sector: UInt64? = nil) -> Self {
        var table = self
        table.header.put(alternateSector, at: 24)
        table.header.put(UInt64(1), at: 32)
        table.header.put(sector ?? (alternateSector - entrySectors), at: 72)
        table.sum()
        return table
    }

    /// New names for the disk and for each partition.
    ///
    /// - Parameter random: gives a fresh GUID of 16 bytes.
    func renamed(_ random: () -> [UInt8]) -> Self {
        var table = self
        table.header.replaceSubrange(56..<72, with: random())
        for (_, place) in places { table.entries.replaceSubrange((place + 16)..<(place + 32), with: random()) }
        table.sum()
        return table
    }

    /// A partition that ends later.
    func extended(_ number: Int, to last: UInt64) -> Self {
        var table = self
        table.entries.put(last, at: (number - 1) * Int(entrySize) + 40)
        table.sum()
        return table
    }

    private mutating func sum() {
        header.put(CRC32.of(entries), at: 88)
        let length = Int(header.number(at: 12, as: UInt32.self))
        header.put(Self.checkSum(header, length), at: 16)
    }

    /// The header's own sum counts as zero.
    private static func checkSum(_ header: [UInt8], _ length: Int) -> UInt32 {
        var header = header
        header.put(UInt32(0), at: 16)
        return CRC32.of(header[..<length])
    }

    // MARK: - As bytes of a disk

    var headerEdit: TableEdit { TableEdit(offset: header.number(at: 24) * sectorSize, bytes: header) }

    /// Whole sectors.
    var entriesEdit: TableEdit {
        let padding = Int(entrySectors * sectorSize) - entries.count
        return TableEdit(
            offset: entriesSector * sectorSize,
            bytes: entries + [UInt8](repeating: 0, count: padding)
        )
    }
}

/// What is wrong with a table, as the end of a sentence.
package struct TableFault: Error, Equatable {
    package let sentence: String

    init(_ sentence: String) {
        self.sentence = sentence
    }
}
