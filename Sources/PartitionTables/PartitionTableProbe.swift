// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Which sector size an image's partition table was made for: on a disk of another one it means other places.
package enum PartitionTableProbe {
    /// Bytes from the start of an image that are enough.
    package static let length = 8192

    /// 512 or 4096; nil without a partition table, and where only the image's size would tell and nobody knows it.
    ///
    /// The place of its header tells that of a GPT. An MBR does not say; tools begin the first partition at 1 MiB, which
    /// is sector 2048 or 256. So it was made for 4096 bytes where the first partition is at a whole MiB only then, and
    /// all of them fit into the image.
    ///
    /// - Parameters:
    ///   - start: of the image.
    ///   - size: of the image, in bytes; nil where nobody knows it.
    package static func sectorSize(in start: [UInt8], size: UInt64?) -> Int? {
        let place = [512, 4096].first { place in
            start.count >= place + 8 && start[place..<(place + 8)].elementsEqual(GUIDPartitionTable.signature)
        }
        if let place { return place }
        guard let record = MasterBootRecord(start), !record.isProtective, !record.entries.isEmpty else { return nil }
        let first = record.entries.map(\.first).min() ?? 0
        let end = record.entries.map { UInt64($0.first) + UInt64($0.count) }.max() ?? 0
        guard first % 256 == 0, first % 2048 != 0 else { return 512 }
        return size.map { end * 4096 <= $0 ? 4096 : 512 }
    }
}
