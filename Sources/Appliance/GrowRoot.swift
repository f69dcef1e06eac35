// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Layers
import Model

/// Gives the root file system the room of a disk that was made larger.
struct GrowRoot {
    let guest: GuestfsHandle

    /// - Throws: `unavailable` when another partition lies behind the root, or the layout is none that can grow.
    func grow(_ mounts: [GuestFacts.Mount]) throws {
        guard let root = mounts.first(where: { $0.path == "/" })?.device, root.hasPrefix("/dev/sd") else {
            throw FlashlayerError(
                .unavailable,
                "the base image's root file system is no plain partition, and cannot be made larger here",
                advice: "leave out [image] size, and enlarge the base image by its own tools"
            )
        }
        let disk = try unsafe guest.string { unsafe guestfs_part_to_dev($0, root) }
        let number = try unsafe Int32(guest.number { Int64(unsafe guestfs_part_to_partnum($0, root)) })
        let type = try unsafe guest.string { unsafe guestfs_part_get_parttype($0, disk) }
        if type == "gpt" { try unsafe guest.check { unsafe guestfs_part_expand_gpt($0, disk) } }
        let sectorSize = try unsafe guest.number { Int64(unsafe guestfs_blockdev_getss($0, disk)) }
        let sectors = try unsafe guest.number { unsafe guestfs_blockdev_getsize64($0, disk) } / sectorSize
        guard try endsLast(number, on: disk) else {
            throw FlashlayerError(
                .unavailable,
                "the base image's root partition \(root) is not the last one on its disk, and cannot be made larger",
                advice: "leave out [image] size"
            )
        }
        // The backup of a GPT takes the last 33 sectors; ending on a MiB leaves room for it.
        let mebibyte = Int64(ByteSize.mebibyte) / sectorSize
        let end = (sectors - mebibyte) / mebibyte * mebibyte - 1
        try unsafe guest.check { unsafe guestfs_part_resize($0, disk, number, end) }
        switch try unsafe guest.string({ unsafe guestfs_vfs_type($0, root) }) {
        case "ext2", "ext3", "ext4":
            // resize2fs wants it checked first. What is put right without asking is what a boot would put right as well.
            var options = guestfs_e2fsck_argv()
            options.correct = 1
            options.bitmask = 1 << UInt64(GUESTFS_E2FSCK_CORRECT)
            try unsafe guest.check { unsafe guestfs_e2fsck_argv($0, root, &options) }
            try unsafe guest.check { unsafe guestfs_resize2fs($0, root) }
        case "xfs":
            try unsafe guest.check { unsafe guestfs_mount($0, root, "/") }
            try unsafe guest.check { unsafe guestfs_xfs_growfs_argv($0, "/", nil) }
            try unsafe guest.check { unsafe guestfs_umount_all($0) }
        case "btrfs":
            try unsafe guest.check { unsafe guestfs_mount($0, root, "/") }
            try unsafe guest.check { unsafe guestfs_btrfs_filesystem_resize_argv($0, "/", nil) }
            try unsafe guest.check { unsafe guestfs_umount_all($0) }
        case let other:
            throw FlashlayerError(.unavailable, "the base image's root file system (\(other)) cannot be made larger")
        }
    }

    /// systemd-repart(8) enlarges a partition whose type says that it is the root, and would make a new one if there were
    /// none: so it is only told to where the root has that type.
    ///
    /// - Returns: nil when all is as it has to be.
    func obstacleToGrowingAtFirstBoot(_ mounts: [GuestFacts.Mount]) throws -> String? {
        guard let root = mounts.first(where: { $0.path == "/" })?.device, root.hasPrefix("/dev/sd") else {
            return "it is no plain partition"
        }
        let disk = try unsafe guest.string { unsafe guestfs_part_to_dev($0, root) }
        let number = try unsafe Int32(guest.number { Int64(unsafe guestfs_part_to_partnum($0, root)) })
        guard try unsafe guest.string({ unsafe guestfs_part_get_parttype($0, disk) }) == "gpt" else {
            return "the disk has no GPT"
        }
        let type = try unsafe guest.string { unsafe guestfs_part_get_gpt_type($0, disk, number) }
        guard type.uppercased() == Self.rootType else { return "its partition is not marked as a root partition" }
        guard try endsLast(number, on: disk) else { return "another partition lies behind it" }
        let programs = ["/usr/bin/systemd-repart", "/bin/systemd-repart"]
        let isPresent = try programs.contains { program in try unsafe guest.ask { unsafe guestfs_exists($0, program) } }
        return isPresent ? nil : "the guest has no systemd-repart"
    }

    /// root-x86-64 of the Discoverable Partitions Specification.
    private static let rootType = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"

    /// The partition by systemd-repart, the file system by systemd-growfs; see systemd.mount(5).
    static let enableAtFirstBoot = """
        mkdir -p /etc/repart.d
        [ -e /etc/repart.d/50-root.conf ] || printf '[Partition]\\nType=root\\n' > /etc/repart.d/50-root.conf
        awk '
            !/^[ \\t]*#/ && NF >= 4 && $2 == "/" && $4 !~ /x-systemd.growfs/ { $4 = $4 ",x-systemd.growfs" }
            { print }
        ' /etc/fstab > \(GuestFolder.scratch)/fstab
        cat \(GuestFolder.scratch)/fstab > /etc/fstab
        """

    private func endsLast(_ number: Int32, on disk: String) throws -> Bool {
        guard let list = unsafe guest.pointer({ unsafe guestfs_part_list($0, disk) }) else { return false }
        defer { unsafe guestfs_free_partition_list(list) }
        // SAFETY: the list has `len` elements and is ours until it is freed.
        let partitions = unsafe UnsafeBufferPointer(start: list.pointee.val, count: Int(list.pointee.len))
        let last = unsafe partitions.max { $0.part_end < $1.part_end }
        return last?.part_num == number
    }
}
