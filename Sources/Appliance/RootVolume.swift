// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Layers
import Model

/// Where the guest's root file system lies on its disk.
struct RootVolume {
    /// What is mounted, as libguestfs names it: `/dev/sda3`, `/dev/vg/root`, `btrfsvol:/dev/sda2/@`.
    let mountable: String
    /// The device that the file system is made on.
    let device: String
    /// The partition that it lies in: the device itself, or the one that holds its LVM volume group.
    let partition: String
    let disk: String
    /// Counted from 1.
    let number: Int32
    /// `gpt`, `msdos` or another.
    let tableType: String
    /// nil: a plain partition.
    let volumeGroup: String?

    /// What keeps a root from being found in one partition, as the rest of a sentence that begins with "it".
    struct Obstacle: Error {
        let text: String
    }

    /// - Throws: `Obstacle`, or the failure of a call.
    init(_ mounts: [GuestFacts.Mount], in guest: GuestfsHandle) throws {
        guard let mountable = mounts.first(where: { $0.path == "/" })?.device else {
            throw Obstacle(text: "is not mounted")
        }
        self.mountable = mountable
        device = try DiskNames(of: guest).device(of: mountable, in: guest)
        let device = device
        if try unsafe guest.ask({ unsafe guestfs_is_lv($0, device) }) {
            // /dev/GROUP/VOLUME, however it was named.
            let canonical = try unsafe guest.string { unsafe guestfs_lvm_canonical_lv_name($0, device) }
            let group = canonical.split(separator: "/").dropFirst().first.map(String.init) ?? ""
            let members = try Self.physicalVolumes(of: group, in: guest)
            guard let member = members.first, members.count == 1 else {
                throw Obstacle(text: "lies on an LVM volume group of \(members.count) partitions")
            }
            volumeGroup = group
            partition = member
        } else {
            volumeGroup = nil
            partition = device
        }
        let partition = partition
        let partitions = try unsafe guest.strings { unsafe guestfs_list_partitions($0) }
        guard partitions.contains(partition) else {
            throw Obstacle(text: "does not lie in a partition, but on \(partition)")
        }
        disk = try unsafe guest.string { unsafe guestfs_part_to_dev($0, partition) }
        number = try unsafe Int32(guest.number { Int64(unsafe guestfs_part_to_partnum($0, partition)) })
        let disk = disk
        tableType = try unsafe guest.string { unsafe guestfs_part_get_parttype($0, disk) }
    }

    private static func physicalVolumes(of group: String, in guest: GuestfsHandle) throws -> [String] {
        let members = try unsafe guest.strings { unsafe guestfs_vgpvuuids($0, group) }
        return try unsafe guest.strings { unsafe guestfs_pvs($0) }.filter { volume in
            members.contains(try unsafe guest.string { unsafe guestfs_pvuuid($0, volume) })
        }
    }

    /// What keeps the partition from taking room behind it, as the rest of a sentence that begins with "its partition".
    func obstacleToGrowing(in guest: GuestfsHandle) throws -> String? {
        if tableType != "gpt", number > 4 { return "is a logical one, inside an extended partition" }
        guard let list = unsafe guest.pointer({ unsafe guestfs_part_list($0, disk) }) else {
            return "is not to be seen"
        }
        defer { unsafe guestfs_free_partition_list(list) }
        // SAFETY: the list has `len` elements and is ours until it is freed.
        let partitions = unsafe UnsafeBufferPointer(start: list.pointee.val, count: Int(list.pointee.len))
        let last = unsafe partitions.max { $0.part_end < $1.part_end }
        return last?.part_num == number ? nil : "is not the last one on its disk"
    }
}
