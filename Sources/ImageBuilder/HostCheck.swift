// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs

/// Whether this machine has what the appliance is made of. Asked before anything is begun, so that nobody waits a minute
/// to be told.
enum HostCheck {
    /// - Throws: `unavailable`, with the command that mends it.
    static func appliance() throws {
        _ = try QEMU.program()
        _ = try QEMU.image()
        _ = try Program("supermin", debianPackage: "supermin")
        try kernel()
    }

    /// - Throws: `unavailable`, with the command that mends it.
    static func bootstrap() throws {
        for (program, package) in [
            ("mmdebstrap", "mmdebstrap"), ("unshare", "util-linux"), ("sfdisk", "fdisk"), ("mke2fs", "e2fsprogs"),
            ("mkfs.vfat", "dosfstools"),
        ] {
            _ = try Program(program, debianPackage: package)
        }
    }

    /// supermin(1) builds the appliance around this machine's own kernel.
    private static func kernel() throws {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/boot")) ?? []
        let kernels = names.filter { name in
            name.hasPrefix("vmlinuz-")
                && FileManager.default.fileExists(atPath: "/lib/modules/\(name.dropFirst("vmlinuz-".count))")
        }
        guard !kernels.isEmpty else {
            throw FlashlayerError(
                .unavailable,
                "there is no Linux kernel with its modules in /boot, which the libguestfs appliance needs",
                advice: "apt-get install linux-image-amd64"
            )
        }
        guard kernels.contains(where: { unsafe access("/boot/\($0)", R_OK) == 0 }) else {
            throw FlashlayerError(
                .unavailable,
                "the kernels in /boot cannot be read by this user, and the libguestfs appliance needs one",
                advice: "run it with sudo, or let everybody read them: chmod 0644 /boot/vmlinuz-*"
            )
        }
    }
}
