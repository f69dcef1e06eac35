// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Layers
import Model

/// Finds out what is on the first drive. See "INSPECTION" in guestfs(3).
struct Inspection {
    let guest: GuestfsHandle

    /// - Throws: `bad-image` when there is not exactly one Linux system on the disk, `unavailable` for what cannot be
    ///   built on: encrypted disks and other architectures.
    func facts() throws -> GuestFacts {
        let names = try DiskNames(of: guest)
        let roots = try unsafe guest.strings { unsafe guestfs_inspect_os($0) }.map(names.canonical)
        guard let root = roots.first else { throw try nothingFound() }
        guard roots.count == 1 else {
            throw FlashlayerError(
                .badImage,
                "the disk holds several operating systems (\(roots.joined(separator: ", ")))",
                advice: "use an image with one"
            )
        }
        let type = try unsafe guest.string { unsafe guestfs_inspect_get_type($0, root) }
        guard type == "linux" else {
            throw FlashlayerError(
                .unavailable,
                "the disk holds \(type), and only Linux is built on",
                advice: "use a Linux image"
            )
        }
        let architecture = try unsafe guest.string { unsafe guestfs_inspect_get_arch($0, root) }
        guard architecture == Self.hostArchitecture else {
            throw FlashlayerError(
                .unavailable,
                "the system on the disk is for \(architecture), and this machine is \(Self.hostArchitecture)",
                advice: "use a machine of its own architecture"
            )
        }
        let major = try unsafe number { unsafe guestfs_inspect_get_major_version($0, root) }
        let minor = try unsafe number { unsafe guestfs_inspect_get_minor_version($0, root) }
        let distribution = try unsafe guest.string { unsafe guestfs_inspect_get_distro($0, root) }
        let product = try unsafe guest.string { unsafe guestfs_inspect_get_product_name($0, root) }
        return GuestFacts(
            distribution: distribution,
            version: minor > 0 ? "\(major).\(minor)" : "\(major)",
            // Of Debian, libguestfs tells what is in /etc/debian_version: "12.11".
            product: product.first?.isNumber == true ? "\(distribution) \(product)" : product,
            architecture: architecture,
            packageFormat: try unsafe guest.string { unsafe guestfs_inspect_get_package_format($0, root) },
            packageManager: try unsafe guest.string { unsafe guestfs_inspect_get_package_management($0, root) },
            mounts: try mounts(of: root, names)
        )
    }

    /// `/` first, then by depth, as they have to be mounted. A swap or a file system that fstab names and the disk lacks
    /// is not among them.
    private func mounts(of root: String, _ names: DiskNames) throws -> [GuestFacts.Mount] {
        let pairs = try unsafe guest.strings { unsafe guestfs_inspect_get_mountpoints($0, root) }
        let mounts = stride(from: 0, to: pairs.count - 1, by: 2).map {
            GuestFacts.Mount(device: names.canonical(pairs[$0 + 1]), path: pairs[$0])
        }
        return mounts.sorted { ($0.path.count, $0.path) < ($1.path.count, $1.path) }
    }

    private func number(_ call: (OpaquePointer) -> Int32) throws -> Int64 {
        try unsafe guest.number { Int64(unsafe call($0)) }
    }

    private func nothingFound() throws -> FlashlayerError {
        // Not from guestfs_list_filesystems, which leaves out what is encrypted.
        let devices =
            try unsafe guest.strings { unsafe guestfs_list_devices($0) }
            + guest.strings { unsafe guestfs_list_partitions($0) } + guest.strings { unsafe guestfs_lvs($0) }
        // A device without anything on it is no failure here.
        let types = devices.compactMap { device in try? unsafe guest.string { unsafe guestfs_vfs_type($0, device) } }
        if types.contains("crypto_LUKS") {
            return FlashlayerError(
                .unavailable,
                "the disk is encrypted (LUKS), and encrypted disks can neither be built on nor boot-tested",
                advice: "use an image that is not encrypted"
            )
        }
        if types.contains("xfs"), try !guest.has("xfs") {
            return FlashlayerError(
                .unavailable,
                "the disk has an xfs file system, and this machine's libguestfs cannot read xfs",
                advice: "apt-get install libguestfs-xfs"
            )
        }
        return FlashlayerError(
            .badImage,
            "no operating system was found on the disk",
            advice: "use the disk image of an installed Linux system"
        )
    }

    private static var hostArchitecture: String {
        #if arch(x86_64)
            "x86_64"
        #elseif arch(arm64)
            "aarch64"
        #else
            "unknown"
        #endif
    }
}
