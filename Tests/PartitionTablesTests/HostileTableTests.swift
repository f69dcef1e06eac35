// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import PartitionTables
import TestSupport
import Testing

/// Images come from anywhere: whatever their tables say, an answer comes of it, and nothing is edited outside the disk.
@Suite("Tables that mean harm")
struct HostileTableTests {
    private static let sector = 512
    private static let imageSize = 4 << 20
    private static let diskSize: UInt64 = 8 << 20

    private static let extremes: [UInt64] = [
        0, 1, 2, 33, 34, 8191, 8192, 16383, 1 << 31, 1 << 32, 1 << 50, 1 << 51, 1 << 55, .max / 512, .max - 1, .max,
    ]

    private static let sums = (UInt32(0)..<256).map { byte in
        (0..<8).reduce(byte) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0xEDB8_8320 : rest >> 1 }
    }

    /// CRC-32 as IEEE 802.3 has it.
    private func checkSum(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(UInt32.max) { sum, byte in sum >> 8 ^ Self.sums[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
    }

    private func put(_ number: UInt64, _ count: Int, _ bytes: inout [UInt8], _ offset: Int) {
        for index in 0..<count { bytes[offset + index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
    }

    /// A GPT whose sums are right and whose numbers are anything.
    private func image(_ random: inout SplitMix) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.imageSize)
        bytes[446 + 4] = 0xEE
        put(UInt64.random(in: 0...2, using: &random), 4, &bytes, 446 + 8)
        put(Self.extremes.randomElement(using: &random) ?? 0, 4, &bytes, 446 + 12)
        (bytes[510], bytes[511]) = (0x55, 0xAA)
        let number = { (usual: UInt64, random: inout SplitMix) in
            Int.random(in: 0..<3, using: &random) > 0 ? usual : Self.extremes.randomElement(using: &random) ?? 0
        }
        var entries = [UInt8](repeating: 0, count: 128 * 128)
        for index in 0..<Int.random(in: 0...4, using: &random) {
            entries[index * 128] = 1
            put(number(UInt64(40 + index), &random), 8, &entries, index * 128 + 32)
            put(number(UInt64(4000 + index), &random), 8, &entries, index * 128 + 40)
        }
        bytes.replaceSubrange(1024..<(1024 + entries.count), with: entries)
        let last = UInt64(Self.imageSize / Self.sector - 1)
        for (place, other, table) in [(UInt64(1), last, UInt64(2)), (last, 1, last - 32)] {
            var header = [UInt8](repeating: 0, count: Self.sector)
            header.replaceSubrange(0..<8, with: "EFI PART".utf8)
            put(0x10000, 4, &header, 8)
            put(Int.random(in: 0..<9, using: &random) > 0 ? 92 : number(92, &random), 4, &header, 12)
            put(place, 8, &header, 24)
            put(number(other, &random), 8, &header, 32)
            put(number(34, &random), 8, &header, 40)
            put(number(last - 33, &random), 8, &header, 48)
            put(number(table, &random), 8, &header, 72)
            put(Int.random(in: 0..<9, using: &random) > 0 ? 128 : number(128, &random), 4, &header, 80)
            put(Int.random(in: 0..<9, using: &random) > 0 ? 128 : number(128, &random), 4, &header, 84)
            put(UInt64(checkSum(entries)), 4, &header, 88)
            put(UInt64(checkSum(header[..<92])), 4, &header, 16)
            bytes.replaceSubrange((Int(place) * Self.sector)..<((Int(place) + 1) * Self.sector), with: header)
        }
        return bytes
    }

    @Test("whatever the numbers are, edits stay on the disk, and none overlaps another")
    func numbers() throws {
        var random = SplitMix(seed: 3)
        var edited = 0
        for round in 0..<200 {
            let bytes = image(&random)
            var picture = DiskPicture(size: UInt64(bytes.count))
            picture.add(Array(bytes[..<(1 << 20)]), at: 0)
            picture.add(Array(bytes[(3 << 20)...]), at: 3 << 20)
            let edits = TableEdits(image: picture, diskSize: Self.diskSize, sectorSize: UInt64(Self.sector)).edits
            edited += edits.isEmpty ? 0 : 1
            for (one, other) in zip(edits, edits.dropFirst()) {
                #expect(one.range.upperBound <= other.range.lowerBound, "round \(round)")
            }
            #expect((edits.last?.range.upperBound ?? 0) <= Self.diskSize, "round \(round)")
            _ = RestoredTable.candidates(disk: picture, imageSize: 2 << 20, sectorSize: UInt64(Self.sector))
            let partition = try? LastPartition(diskSize: UInt64(bytes.count), sectorSize: UInt64(Self.sector)) {
                range in
                Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
            }
            for edit in partition?.grown(diskSize: Self.diskSize)?.edits ?? [] {
                #expect(edit.range.upperBound <= Self.diskSize, "round \(round)")
            }
        }
        #expect(edited > 10 && edited < 200)
    }
}
