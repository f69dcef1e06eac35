// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import TestSupport
import Testing

@testable import PartitionTables

@Suite("Partition tables on larger disks")
struct TableEditsTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func image(size: UInt64 = 8 << 20, _ script: String = "label: gpt\nsize=1M\n,\n") async throws -> TableFile
    {
        try await TableFile(folder.file("image"), size: size, script)
    }

    @Test("the check sum is that of the specification")
    func checkSum() {
        #expect(CRC32.of(Array("123456789".utf8)) == 0xCBF4_3926)
    }

    @Test("tables drawn by lot are moved as sfdisk and sgdisk move them, and nothing of the old backup stays")
    func oracle() async throws {
        var random = SplitMix(seed: 5)
        for round in 0..<6 {
            let size = UInt64.random(in: (4 << 11)...(20 << 11), using: &random) * 512
            let count = Int.random(in: 0...3, using: &random)
            let script =
                "label: gpt\n" + (0..<count).map { _ in "size=\(Int.random(in: 1...900, using: &random))K\n" }.joined()
            let image = try await image(size: size, script)
            // From one sector more to many.
            let more = UInt64.random(in: 1...(Bool.random(using: &random) ? 40 : 60_000), using: &random) * 512
            let disk = try await image.copied(to: folder.file("disk"), size: size + more)
            let other = try await image.copied(to: folder.file("other"), size: size + more)
            let edits = TableEdits(image: try image.picture(), diskSize: disk.size, sectorSize: 512)
            #expect(edits.notes.isEmpty && edits.hasTable)
            #expect(zip(edits.edits, edits.edits.dropFirst()).allSatisfy { $0.range.upperBound <= $1.offset })
            try disk.put(edits.edits)
            // Writes the table as it is, and mends what does not fit the disk.
            try await TableFile.shell(
                #"sfdisk --quiet --lock=no --disk-id "$1" "$(sfdisk --disk-id "$1" 2>&-)""#,
                other.path
            )
            let third = try await image.copied(to: folder.file("third"), size: size + more)
            try await TableFile.shell(#"sgdisk --move-second-header "$1""#, third.path)
            let context = "round \(round): \(size) + \(more), \(script)"
            let complaints = try await disk.complaints()
            #expect(complaints.isEmpty, "\(context) \(complaints)")
            // It has its own idea of the last sector that a partition may have.
            let (dump, wanted) = (try await disk.dump(), try await third.dump())
            #expect(
                dump.split(separator: "\n").filter { !$0.hasPrefix("last-lba") }
                    == wanted.split(separator: "\n").filter { !$0.hasPrefix("last-lba") },
                "\(context)"
            )
            let (ours, theirs) = (try TestImage.bytes(of: disk.path), try TestImage.bytes(of: other.path))
            #expect(ours[..<1024] == theirs[..<1024], "\(context)")
            #expect(ours[(ours.count - 33 * 512)...] == theirs[(theirs.count - 33 * 512)...], "\(context)")
            let old = Int(size) - 33 * 512..<min(Int(size), ours.count - 33 * 512)
            #expect(ours[old].allSatisfy { $0 == 0 }, "\(context)")
            // Nothing else is another than in the image.
            let rest = 34 * 512..<Int(size) - 33 * 512
            #expect(ours[rest] == theirs[rest])

            let restored = RestoredTable.candidates(disk: try disk.picture(), imageSize: size, sectorSize: 512)
            let bytes = try TestImage.bytes(of: image.path)
            #expect(
                restored.allSatisfy {
                    ours[Int($0.cleared.lowerBound)..<Int($0.cleared.upperBound)].allSatisfy { $0 == 0 }
                }
            )
            #expect(
                restored.contains { table in
                    var back = ours[..<Int(size)]
                    for edit in table.edits {
                        back.replaceSubrange(Int(edit.offset)..<Int(edit.range.upperBound), with: edit.bytes)
                    }
                    return Array(back) == bytes
                },
                "\(context)"
            )
        }
    }

    @Test("a disk of the image's size needs no edit")
    func sameSize() async throws {
        let image = try await image()
        let edits = TableEdits(image: try image.picture(), diskSize: image.size, sectorSize: 512)
        #expect(edits.edits.isEmpty && edits.notes.isEmpty)
    }

    @Test(
        "a damaged table is told of and left as it is",
        arguments: [
            (0x238, "check sum"), (1024 + 5, "entries"), (0x20C, "bytes long"), (450, "without a protective MBR"),
        ]
    )
    func damaged(place: Int, word: String) async throws {
        let image = try await image()
        var byte = try TestImage.bytes(of: image.path)[place]
        byte ^= 0x51
        try image.put([TableEdit(offset: UInt64(place), bytes: [byte])])
        let edits = TableEdits(image: try image.picture(), diskSize: 16 << 20, sectorSize: 512)
        #expect(edits.edits.isEmpty)
        #expect(edits.notes.count == 1 && edits.notes[0].contains(word), "\(edits.notes)")
    }

    @Test("where only the backup is damaged, the disk gets a good one, and is told of it")
    func damagedBackup() async throws {
        let image = try await image()
        try image.put([TableEdit(offset: image.size - 500, bytes: [0x77])])
        let edits = TableEdits(image: try image.picture(), diskSize: 16 << 20, sectorSize: 512)
        #expect(edits.notes.count == 1 && edits.notes[0].contains("gets a new one"))
        let disk = try await image.copied(to: folder.file("disk"), size: 16 << 20)
        try disk.put(edits.edits)
        #expect(try await disk.complaints().isEmpty)
        let same = TableEdits(image: try image.picture(), diskSize: image.size, sectorSize: 512)
        #expect(same.edits.isEmpty && same.notes.count == 1)
    }

    @Test("the entries of a hybrid MBR are left alone, and the GPT behind it is moved")
    func hybrid() async throws {
        let image = try await image()
        try await TableFile.shell(#"sgdisk --hybrid=1 "$1""#, image.path)
        let edits = TableEdits(image: try image.picture(), diskSize: 16 << 20, sectorSize: 512)
        #expect(edits.hasTable && edits.notes.isEmpty)
        #expect(edits.edits.first?.offset == 512)
    }

    @Test("an image with an MBR, or without any table, is not edited", arguments: ["label: dos\nsize=1M\n", nil])
    func others(script: String?) async throws {
        let image = try await image(script ?? "label: gpt\n")
        if script == nil { try await TableFile.shell(#"truncate -s 0 "$1"; truncate -s 8M "$1""#, image.path) }
        let edits = TableEdits(image: try image.picture(), diskSize: 16 << 20, sectorSize: 512)
        #expect(edits.edits.isEmpty && edits.notes.isEmpty && !edits.hasTable)
    }

    @Test("new names are given to the disk and to every partition, and to nothing else")
    func names() async throws {
        let image = try await image()
        let disk = try await image.copied(to: folder.file("disk"), size: 16 << 20)
        var next: UInt8 = 0
        let edits = TableEdits(image: try image.picture(), diskSize: disk.size, sectorSize: 512) {
            next += 1
            return [UInt8](repeating: next, count: 16)
        }
        try disk.put(edits.edits)
        #expect(try await disk.complaints().isEmpty)
        let dump = try await disk.dump()
        for name in 1...3 {
            let digits = "0\(name)"
            let words = [4, 2, 2, 2, 6].map { String(repeating: digits, count: $0) }.joined(separator: "-")
            #expect(dump.contains(words), "\(dump)")
        }
    }

    @Test(
        "an MBR tells the size of its sectors by where its partitions stand",
        arguments: [
            (2048, 4096, 512), (256, 1024, 4096), (256, 4096, 512), (63, 1000, 512), (2048, 100, 512),
        ] as [(Int, Int, Int)]
    )
    func sectorSize(first: Int, count: Int, sectorSize: Int) async throws {
        let image = try await image(size: 8 << 20, "label: dos\nstart=\(first),size=\(count)\n")
        let start = Array(try TestImage.bytes(of: image.path)[..<PartitionTableProbe.length])
        #expect(PartitionTableProbe.sectorSize(in: start, size: image.size) == sectorSize)
        // Where the size would decide, it is not guessed.
        #expect(PartitionTableProbe.sectorSize(in: start, size: nil) == (first == 256 ? nil : sectorSize))
    }

    @Test(
        "a partition that ends behind the image is found, and one that ends with it is in order",
        arguments: ["label: gpt\nsize=1M\nsize=5M\n", "label: dos\nsize=1M\nsize=5M\n"]
    )
    func cut(script: String) async throws {
        let head = Array(try TestImage.bytes(of: try await image(size: 8 << 20, script).path)[..<(1 << 20)])
        #expect(CutPartition(head: head, imageSize: 7 << 20) == nil)
        let cut = try #require(CutPartition(head: head, imageSize: (7 << 20) - 512))
        #expect(cut.number == 2 && cut.end == 7 << 20)
    }

    @Test("the boot sector of a file system is no partition table")
    func superfloppy() async throws {
        let path = folder.file("fat")
        try await TableFile.shell(#"truncate -s 8M "$1" && mkfs.vfat "$1""#, path)
        let start = Array(try TestImage.bytes(of: path)[..<PartitionTableProbe.length])
        #expect(MasterBootRecord(start) == nil)
        #expect(PartitionTableProbe.sectorSize(in: start, size: 8 << 20) == nil)
    }
}
