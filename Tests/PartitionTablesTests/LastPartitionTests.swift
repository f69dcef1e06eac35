// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import TestSupport
import Testing

@testable import PartitionTables

@Suite("The last partition")
struct LastPartitionTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func last(_ file: TableFile) throws -> LastPartition {
        let bytes = try TestImage.bytes(of: file.path)
        return try LastPartition(diskSize: file.size, sectorSize: 512) { range in
            Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        }
    }

    @Test(
        "it grows to the end of the disk, whatever its number, and the judges agree",
        arguments: [
            ("label: gpt\nsize=2M\n,\n", 2), ("label: gpt\nstart=8192,size=2M\nstart=2048,size=2M\n", 1),
            ("label: dos\nsize=2M\n,\n", 2),
            ("label: dos\nx1: size=1M\nx2: size=5M,type=5\nx5: size=1M\nx6: size=1M\n", 6),
            ("label: dos\nx1: size=6M,type=5\nx5: size=1M\n", 5),
        ]
    )
    func grows(script: String, number: Int) async throws {
        let image = try await TableFile(folder.file("image"), size: 8 << 20, script)
        let disk = try await image.copied(to: folder.file("disk"), size: (20 << 20) + 512)
        try disk.put(TableEdits(image: try image.picture(), diskSize: disk.size, sectorSize: 512).edits)
        let before = try last(disk)
        #expect(before.number == number)
        #expect(before.size < 8 << 20)
        let (size, edits) = try #require(before.grown(diskSize: disk.size))
        try disk.put(edits)
        let after = try last(disk)
        #expect(after.number == number && after.size == size && after.offset == before.offset)
        #expect(after.offset + after.size >= 19 << 20 && (after.offset + after.size) % (1 << 20) == 0)
        let verified = try await TableFile.shell(#"sfdisk --verify "$1" 2>&1; echo "status $?""#, disk.path)
        #expect(verified.contains("status 0"), "\(verified)")
        #expect(try await disk.dump().contains("size= "))
        if script.contains("gpt") { #expect(try await disk.complaints().isEmpty) }
        #expect(after.grown(diskSize: disk.size) == nil, "it ends there now")
    }

    @Test(
        "where none can grow, it is said why",
        arguments: [
            ("label: gpt\n", "empty"), ("label: dos\n", "empty"),
            ("label: dos\nsize=2M\nsize=3M,type=5\n", "extended partition lies behind"),
        ]
    )
    func refused(script: String, word: String) async throws {
        let image = try await TableFile(folder.file("image"), size: 8 << 20, script)
        let fault = #expect(throws: TableFault.self) { try last(image) }
        #expect(fault?.sentence.contains(word) ?? false, "\(String(describing: fault))")
    }

    @Test("records of logical partitions that lead to one another are no endless way")
    func circle() async throws {
        let script = "label: dos\nx1: size=6M,type=5\nx5: size=1M\nx6: size=1M\n"
        let image = try await TableFile(folder.file("image"), size: 8 << 20, script)
        let record = try #require(MasterBootRecord(Array(try TestImage.bytes(of: image.path)[..<512])))
        let place = UInt64(try #require(record.entries.first).first) * 512
        // The first one leads to itself, and has no partition.
        var bytes = [UInt8](repeating: 0, count: 512)
        bytes.replaceSubrange(446..<462, with: [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
        bytes.replaceSubrange(510..<512, with: [0x55, 0xAA])
        try image.put([TableEdit(offset: place, bytes: bytes)])
        let fault = #expect(throws: TableFault.self) { try last(image) }
        #expect(fault?.sentence.contains("no end") ?? false, "\(String(describing: fault))")
    }
}
