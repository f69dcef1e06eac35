// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Model
import PartitionTables

extension EndsPass {
    /// Of the entries of a GPT: 128 of 128 bytes.
    private static let entryBytes: UInt64 = 16 << 10

    /// Whether the ends of a target have what they should, but for the partition table.
    func agreesBesideTable(_ ends: TargetEnds) throws -> Bool {
        let places = tablePlaces(ends)
        return try ends.regions.filter { $0.kind == .image }.allSatisfy { region in
            var found = try target.read(region.range)
            return unsafe found.withUnsafeMutableBytes { found in
                for place in places {
                    let common = place.clamped(to: region.range)
                    for index in common where !common.isEmpty {
                        let position = Int(index - region.range.lowerBound)
                        unsafe found[position] = unsafe region.content.bytes[position]
                    }
                }
                guard let one = found.baseAddress, let other = unsafe region.content.bytes.baseAddress else {
                    return true
                }
                return unsafe memcmp(one, other, found.count) == 0
            }
        }
    }

    /// Where a partition table stands in the image's ends, or stood. Bytes.
    private func tablePlaces(_ ends: TargetEnds) -> [Range<UInt64>] {
        // The disk's signature and the four entries of an MBR, behind boot code.
        let record: Range<UInt64> = 440..<UInt64(MasterBootRecord.length)
        guard MasterBootRecord(ends.head)?.isProtective ?? false else { return [record] }
        let sector = target.sectorSize
        let size = ends.image.ranges.last?.upperBound ?? 0
        let backup = size - min(size, Self.entryBytes + sector)
        return [record, sector..<(2 * sector + Self.entryBytes), backup..<size]
    }
}
