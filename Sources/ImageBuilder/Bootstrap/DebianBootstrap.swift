// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Layers

/// What a bootstrapped Debian is made of, as data: its packages, its sources, its first files.
package struct DebianBootstrap: Sendable, Equatable {
    let suite: String
    let mirror: String
    let firmware: [ImageSettings.Firmware]
    let kernelArguments: [String]
    let rootID: String
    let fatID: String

    /// Enough to boot any common PC, find the network and be built upon; no more.
    package static func packages(for firmware: [ImageSettings.Firmware]) -> [String] {
        var packages = [
            "systemd", "systemd-sysv", "systemd-resolved", "systemd-timesyncd", "libpam-systemd", "udev", "dbus",
            // Not the cloud kernel: that one has no USB.
            "linux-image-amd64", "initramfs-tools", "zstd", "kmod",
            "grub2-common", "ca-certificates", "debian-archive-keyring", "e2fsprogs", "fdisk", "iproute2", "login",
            "passwd", "procps", "tzdata",
        ]
        if firmware.contains(.bios) { packages.append("grub-pc-bin") }
        if firmware.contains(.uefi) {
            packages += ["grub-efi-amd64-bin", "grub-efi-amd64-signed", "shim-signed", "dosfstools"]
        }
        return packages.sorted()
    }

    /// sources.list(5), as Debian's installer writes it.
    package var sources: String {
        let components = "main"
        var lines = ["deb \(mirror) \(suite) \(components)"]
        if suite != "sid", suite != "unstable" {
            lines.append("deb \(mirror) \(suite)-updates \(components)")
            // The security archive is beside the main one on every mirror that has it; otherwise it is Debian's own.
            let security =
                mirror.hasSuffix("/debian") ? mirror + "-security" : "http://deb.debian.org/debian-security"
            lines.append("deb \(security) \(suite)-security \(components)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Files of the root file system, by path.
    package var files: [(path: String, text: String)] {
        var files = [
            ("etc/apt/sources.list", sources),
            ("etc/fstab", fstab),
            ("etc/default/grub", grubDefaults),
            (
                "etc/systemd/network/80-dhcp.network",
                """
                # Every wired interface that nothing else configures.
                [Match]
                Type=ether
                Name=en* eth*

                [Network]
                DHCP=yes

                """
            ),
        ]
        if !kernelArguments.isEmpty {
            files.append(
                (String(BootLoaderSteps.argumentsFile.dropFirst()), BootLoaderSteps.argumentsFileText(kernelArguments))
            )
        }
        return files
    }

    private var fstab: String {
        var lines = ["# <file system> <mount point> <type> <options> <dump> <pass>"]
        lines.append("UUID=\(rootID) / ext4 errors=remount-ro 0 1")
        if firmware.contains(.uefi) { lines.append("UUID=\(fatID) /boot/efi vfat umask=0077 0 1") }
        return lines.joined(separator: "\n") + "\n"
    }

    private var grubDefaults: String {
        let serial = kernelArguments.contains { $0.hasPrefix("console=ttyS0") }
        return """
            # Read by update-grub. The kernel arguments of the recipe are in /etc/default/grub.d.
            GRUB_DEFAULT=0
            GRUB_TIMEOUT=1
            GRUB_DISTRIBUTOR=Debian
            GRUB_CMDLINE_LINUX_DEFAULT=""
            GRUB_CMDLINE_LINUX=""
            GRUB_TERMINAL="\(serial ? "console serial" : "console")"
            GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
            GRUB_DISABLE_OS_PROBER=true

            """
    }

    /// Where the hook leaves the list of packages, as lines of `LockedPackage`.
    static let packageList = "/var/lib/flashlayer-packages"
    /// Only there while mmdebstrap works.
    static let pins = "/etc/apt/preferences.d/00flashlayer-lock"

    /// Joins what is installed with what the mirror's lists say of it. A colon of a version is written so in names of files.
    private static let listPackages = """
        awk -F ': ' '
            FNR == 1 { files++ }
            $1 == "Package" { name = $2 }
            $1 == "Status" { status = $2 }
            $1 == "Version" { version = $2 }
            $1 == "Architecture" { architecture = $2 }
            $1 == "SHA256" { digest = $2 }
            $0 == "" {
                id = name " " version " " architecture
                if (files == 1) {
                    if (status == "install ok installed") wanted[id] = 1
                } else if (id in wanted) {
                    file = name "_" version "_" architecture ".deb"
                    gsub(/:/, "%3a", file)
                    print id, digest, file
                    delete wanted[id]
                }
                status = ""
            }
            END { for (id in wanted) { print "no list has " id > "/dev/stderr"; failed = 1 }; exit failed }
        ' "$root/var/lib/dpkg/status" "$root"/var/lib/apt/lists/*_Packages | LC_ALL=C sort > "$root\(packageList)"
        """

    /// Run by mmdebstrap with the new root as its argument, as root of that system.
    package var customizeHook: String {
        var lines = ["#!/bin/sh", "set -eu", "root=$1"]
        for (path, text) in files {
            let folder = path.split(separator: "/").dropLast().joined(separator: "/")
            lines.append("mkdir -p \"$root/\(folder)\"")
            lines.append("cat > \"$root/\(path)\" <<'FLASHLAYER_END'\n\(text)FLASHLAYER_END")
        }
        if firmware.contains(.uefi) { lines.append("mkdir -p \"$root/boot/efi\"") }
        // What mmdebstrap was told for its own run is no setting of the new system.
        lines.append("rm -f \"$root/etc/apt/apt.conf.d/99mmdebstrap\" \"$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap\"")
        lines.append("rm -f \"$root/etc/apt/sources.list.d\"/0000*")
        lines.append("rm -f \"$root\(Self.pins)\"")
        lines.append(Self.listPackages)
        lines.append("chroot \"$root\" systemctl enable systemd-networkd.service")
        return lines.joined(separator: "\n") + "\n"
    }
}
