// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What a probe found on a disk: at its very start, or in the partitions of its table.
package struct DiskContent: Sendable, Equatable, Codable {
    /// A file system, RAID member or the like, recognised by its superblock.
    package struct Superblock: Sendable, Equatable, Codable {
        /// libblkid's word, such as `ext4`, `crypto_LUKS`, `linux_raid_member`.
        package var type: String
        package var label: String?
        package var uuid: String?
        /// How many devices the file system is spread over; nil where it says nothing of that.
        package var deviceCount: UInt64?

        package init(type: String, label: String? = nil, uuid: String? = nil, deviceCount: UInt64? = nil) {
            self.type = type
            self.label = label
            self.uuid = uuid
            self.deviceCount = deviceCount
        }
    }

    /// A line of the partition table. Sizes and offsets are bytes.
    package struct Entry: Sendable, Equatable, Codable {
        package var number: Int
        package var offset: UInt64
        package var size: UInt64
        package var type: String?
        /// The partition's own UUID, not that of the file system in it.
        package var uuid: String?
        package var superblock: Superblock?

        package init(
            number: Int,
            offset: UInt64,
            size: UInt64,
            type: String? = nil,
            uuid: String? = nil,
            superblock: Superblock? = nil
        ) {
            self.number = number
            self.offset = offset
            self.size = size
            self.type = type
            self.uuid = uuid
            self.superblock = superblock
        }
    }

    package var superblock: Superblock?
    /// `gpt`, `dos` or another word of libblkid; nil without a partition table.
    package var table: String?
    package var entries: [Entry]

    package init(superblock: Superblock? = nil, table: String? = nil, entries: [Entry] = []) {
        self.superblock = superblock
        self.table = table
        self.entries = entries
    }

    /// Every superblock, with what it lies on: "the disk", "partition 2".
    var superblocks: [(place: String, superblock: Superblock)] {
        (superblock.map { [("the disk", $0)] } ?? [])
            + entries.compactMap { entry in entry.superblock.map { ("partition \(entry.number)", $0) } }
    }

    /// "ext4 rootfs, 2 partitions, Debian", "empty GPT", "nothing known".
    package var summary: String {
        guard table != nil || superblock != nil else { return "nothing known" }
        // The largest one is what a person knows the disk by.
        let named = entries.filter { $0.superblock != nil }.max { $0.size < $1.size }?.superblock ?? superblock
        let name = named.map { [$0.type, $0.label].compactMap { $0 }.joined(separator: " ") }
        // A label that names the system itself says it once.
        let known = system.flatMap { name?.lowercased().contains($0.lowercased()) == true ? nil : $0 }
        guard let table else { return [name, known].compactMap { $0 }.joined(separator: ", ") }
        let tableName = table == "dos" ? "MBR" : table.uppercased()
        let count =
            switch entries.count {
            case 0: "empty \(tableName)"
            case 1: "1 partition"
            default: "\(entries.count) partitions"
            }
        return [name, count, known].compactMap { $0 }.joined(separator: ", ")
    }
}
