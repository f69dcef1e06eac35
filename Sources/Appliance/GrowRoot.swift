// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Layers
import Model

/// Gives the root file system the room of a disk that was made larger.
struct GrowRoot {
    let guest: GuestfsHandle

    /// What a file system can be made larger by, here and at boot; see systemd-growfs(8).
    static let growing = ["ext2", "ext3", "ext4", "xfs", "btrfs"]

    /// Now, in a disk that already is larger. Nothing is mounted.
    ///
    /// - Throws: `unavailable` when another partition lies behind the root, or the layout is none that can grow.
    func grow(_ mounts: [GuestFacts.Mount]) throws {
        let root: RootVolume
        do {
            root = try RootVolume(mounts, in: guest)
        } catch let obstacle as RootVolume.Obstacle {
            throw refusal("it \(obstacle.text)")
        }
        if let obstacle = try root.obstacleToGrowing(in: guest) {
            throw refusal("its partition \(root.partition) \(obstacle)")
        }
        let type = try unsafe guest.string { unsafe guestfs_vfs_type($0, root.mountable) }
        guard Self.growing.contains(type) else { throw refusal("it is \(type)") }
        try growPartition(root)
        if let group = root.volumeGroup { try growVolume(root, in: group) }
        switch type {
        case "xfs":
            try mounted(root) { try unsafe guest.check { unsafe guestfs_xfs_growfs_argv($0, "/", nil) } }
        case "btrfs":
            try mounted(root) { try unsafe guest.check { unsafe guestfs_btrfs_filesystem_resize_argv($0, "/", nil) } }
        default:
            // resize2fs wants it checked first. What is put right without asking is what a boot would put right as well.
            var options = guestfs_e2fsck_argv()
            options.correct = 1
            options.bitmask = 1 << UInt64(GUESTFS_E2FSCK_CORRECT)
            try unsafe guest.check { unsafe guestfs_e2fsck_argv($0, root.device, &options) }
            try unsafe guest.check { unsafe guestfs_resize2fs($0, root.device) }
        }
    }

    private func growPartition(_ root: RootVolume) throws {
        let disk = root.disk
        if root.tableType == "gpt" { try unsafe guest.check { unsafe guestfs_part_expand_gpt($0, disk) } }
        // The kernel lets no partition of a disk change while a volume group on it is active.
        if root.volumeGroup != nil { try unsafe guest.check { unsafe guestfs_vg_activate_all($0, 0) } }
        let sectorSize = try unsafe guest.number { Int64(unsafe guestfs_blockdev_getss($0, disk)) }
        let sectors = try unsafe guest.number { unsafe guestfs_blockdev_getsize64($0, disk) } / sectorSize
        // The backup of a GPT takes the last 33 sectors; ending on a MiB leaves room for it.
        let mebibyte = Int64(ByteSize.mebibyte) / sectorSize
        let end = (sectors - mebibyte) / mebibyte * mebibyte - 1
        try unsafe guest.check { unsafe guestfs_part_resize($0, disk, root.number, end) }
        if root.volumeGroup != nil { try unsafe guest.check { unsafe guestfs_vg_activate_all($0, 1) } }
    }

    /// The room that comes to the group is the root's; what was free before was left so by somebody.
    private func growVolume(_ root: RootVolume, in group: String) throws {
        let before = try freeBytes(of: group)
        try unsafe guest.check { unsafe guestfs_pvresize($0, root.partition) }
        let added = try Int64(freeBytes(of: group)) - Int64(before)
        let size = try unsafe guest.number { unsafe guestfs_blockdev_getsize64($0, root.device) }
        let mebibytes = (size + added) / Int64(ByteSize.mebibyte)
        try unsafe guest.check { unsafe guestfs_lvresize($0, root.device, Int32(clamping: mebibytes)) }
    }

    /// What a volume group has in extents that no volume uses, in bytes. It is asked by the group's name: libguestfs does
    /// not translate the names of disks within structures, and the appliance's kernel may have them in another order.
    private func freeBytes(of group: String) throws -> UInt64 {
        let list = try unsafe guest.structure { unsafe guestfs_vgs_full($0) }
        defer { unsafe guestfs_free_lvm_vg_list(list) }
        // SAFETY: the list has `len` elements, whose names end with a zero, and is ours until it is freed.
        let groups = unsafe UnsafeBufferPointer(start: list.pointee.val, count: Int(list.pointee.len))
        guard let found = unsafe groups.first(where: { unsafe String(cString: $0.vg_name) == group }) else {
            throw refusal("its volume group \(group) is not to be seen")
        }
        return unsafe found.vg_free
    }

    private func mounted(_ root: RootVolume, _ body: () throws -> Void) throws {
        try unsafe guest.check { unsafe guestfs_mount($0, root.mountable, "/") }
        try body()
        try unsafe guest.check { unsafe guestfs_umount_all($0) }
    }

    private func refusal(_ reason: String) -> FlashlayerError {
        FlashlayerError(
            .unavailable,
            "the base image's root file system cannot be made larger: \(reason)",
            advice: "leave out [image] size, and enlarge the base image by its own tools"
        )
    }
}
