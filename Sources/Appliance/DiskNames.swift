// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs

/// The two names of each disk of an appliance: libguestfs's own, by the order in which the disks were added, and the one
/// that the appliance's kernel gave it, which probes disks side by side and in no order.
///
/// libguestfs translates between them, see "guestfs_canonical_device_name" in guestfs(3), but not in what it returns
/// within a structure or as `btrfsvol:`. Such a name, given back, would be translated once more, into another disk.
struct DiskNames: Equatable {
    /// `canonical` is libguestfs's; both without a partition's number.
    struct Pair: Equatable {
        let kernel: String
        let canonical: String
    }

    let pairs: [Pair]

    init(_ pairs: [Pair]) {
        self.pairs = pairs
    }

    init(of guest: GuestfsHandle) throws {
        pairs = try unsafe guest.strings { unsafe guestfs_list_devices($0) }.map { disk in
            // What this call answers is not translated back.
            Pair(kernel: try unsafe guest.string { unsafe guestfs_mountable_device($0, disk) }, canonical: disk)
        }
    }

    /// The kernel has found the disks in the order in which they were added.
    var areInOrder: Bool { pairs.allSatisfy { $0.kernel == $0.canonical } }

    /// - Parameter mountable: as libguestfs returned it, such as `/dev/sda3`, `/dev/GROUP/VOLUME` or
    ///   `btrfsvol:/dev/sdc2/@`.
    /// - Returns: what its calls take.
    func canonical(_ mountable: String) -> String {
        guard mountable.hasPrefix(Self.subvolume) else { return mountable }
        let rest = mountable.dropFirst(Self.subvolume.count)
        for pair in pairs where rest.hasPrefix(pair.kernel) {
            let tail = rest.dropFirst(pair.kernel.count)
            // /dev/sda is no part of the name /dev/sdaa.
            guard let next = tail.first, next == "/" || next.isNumber else { continue }
            return Self.subvolume + pair.canonical + tail
        }
        return mountable
    }

    /// The device that a file system is made on.
    ///
    /// - Parameter mountable: a canonical one.
    func device(of mountable: String, in guest: GuestfsHandle) throws -> String {
        guard mountable.hasPrefix(Self.subvolume) else { return mountable }
        let kernel = try unsafe guest.string { unsafe guestfs_mountable_device($0, mountable) }
        let whole = canonical(Self.subvolume + kernel + "/")
        return String(whole.dropFirst(Self.subvolume.count).dropLast())
    }

    private static let subvolume = "btrfsvol:"
}
