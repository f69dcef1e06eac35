// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution

extension HostCheck {
    /// In the order in which a person reads them, and in which the first that fails is told.
    package static let table: [HostCheck] = [
        program("qemu", "qemu-system-x86_64", "qemu-system-x86", .appliance),
        program("qemu-img", "qemu-img", "qemu-utils", .appliance),
        program("supermin", "supermin", "supermin", .appliance),
        HostCheck("kernel", .appliance) { kernel($0) },
        HostCheck("builder", .appliance) { builder($0) },
        HostCheck("kvm", .feature) { await kvm($0) },
        HostCheck("appliance-network", .build) { await applianceNetwork($0) },
        program("mmdebstrap", "mmdebstrap", "mmdebstrap", .bootstrap),
        program("unshare", "unshare", "util-linux", .bootstrap),
        program("sfdisk", "sfdisk", "fdisk", .bootstrap),
        program("mke2fs", "mke2fs", "e2fsprogs", .bootstrap),
        program("mkfs.vfat", "mkfs.vfat", "dosfstools", .bootstrap),
        HostCheck("user-namespaces", .bootstrap) { await UserNamespaceCheck(host: $0).finding() },
        program("apt", "apt-get", "apt", .build),
        program("tar", "tar", "tar", .build),
        HostCheck("ovmf", .feature) { firmware($0, .uefi, "boot tests by UEFI") },
        HostCheck("ovmf-secure-boot", .feature) { firmware($0, .secureBoot, "boot tests with Secure Boot") },
        program("git", "git", "git", .feature, without: "layers of type \"git\" cannot be fetched"),
        program("curl", "curl", "curl", .feature, without: "images cannot be fetched from a URL"),
        program(
            "qemu-storage-daemon",
            "qemu-storage-daemon",
            "qemu-system-common",
            .feature,
            without: "vmdk, vdi, vhdx, vpc and compressed qcow2 images cannot be read"
        ),
        program(
            "fusermount3",
            "fusermount3",
            "fuse3",
            .feature,
            without: "vmdk, vdi, vhdx, vpc and compressed qcow2 images cannot be read"
        ),
        HostCheck("cache-space", .build) { space($0, at: cachePath($0), name: "FLASHLAYER_CACHE") },
        HostCheck("temporary-space", .feature) { space($0, at: $0.environment["TMPDIR"] ?? "/tmp", name: "TMPDIR") },
        HostCheck("udev", .write) { udev($0) },
        HostCheck("disks", .feature) { disks($0) },
        HostCheck("io-uring", .write) { ring($0) },
        HostCheck("memlock", .feature) { lockedMemory($0) },
        HostCheck("loop-devices", .feature) { loop($0) },
    ]

    private static func program(
        _ name: String,
        _ program: String,
        _ package: String,
        _ purpose: Purpose,
        without: String? = nil
    ) -> HostCheck {
        HostCheck(name, purpose) { host in
            if let path = host.program(program) { return .good(path) }
            let effect = without.map { ": \($0)" } ?? ""
            return .lacking("the program '\(program)' is not installed\(effect)", remedy: "apt-get install \(package)")
        }
    }

    // MARK: - The appliance

    /// supermin(1) builds the appliance around this machine's own kernel.
    private static func kernel(_ host: HostView) -> Finding {
        let images = host.names(in: "/boot").filter { $0.hasPrefix("vmlinuz-") }
        let kernels = images.filter { host.exists("/lib/modules/\($0.dropFirst("vmlinuz-".count))") }
        guard !kernels.isEmpty else {
            let found =
                images.isEmpty
                ? "there is no Linux kernel with its modules in /boot"
                : "/boot has \(images.joined(separator: ", ")), without the modules in /lib/modules"
            return .lacking(
                "\(found), which the libguestfs appliance needs",
                remedy: "apt-get install linux-image-amd64"
            )
        }
        guard let readable = kernels.last(where: { host.permits("/boot/\($0)", R_OK) }) else {
            return .lacking(
                "the kernels in /boot cannot be read by this user, and the libguestfs appliance needs one",
                remedy: "chmod 0644 /boot/vmlinuz-*"
            )
        }
        return .good("/boot/\(readable), with its modules")
    }

    private static func builder(_ host: HostView) -> Finding {
        do {
            let path = try BuilderProgram.find(environment: host.environment)
            guard Program.isExecutable(path) else {
                return .lacking(
                    "FLASHLAYER_BUILDER names \(path), which is no program",
                    remedy: "unset FLASHLAYER_BUILDER"
                )
            }
            return .good(path)
        } catch {
            let error = FlashlayerError(wrapping: error)
            return .lacking(error.message, remedy: error.advice)
        }
    }

    private static func kvm(_ host: HostView) async -> Finding {
        let slow = "virtual machines are emulated (TCG), about 5 times slower"
        guard host.exists("/dev/kvm") else {
            let remedy =
                "switch on virtualization in the firmware's setup, then: modprobe kvm_intel || modprobe kvm_amd"
            return .lacking("there is no /dev/kvm: \(slow)", remedy: remedy)
        }
        guard host.permits("/dev/kvm", R_OK | W_OK) else {
            return .lacking(
                "/dev/kvm cannot be opened by \(host.userName): \(slow)",
                remedy: "usermod --append --groups kvm \(host.userName), and log in again"
            )
        }
        guard let found = try? await HostAccelerator.find(), let reason = found.reason else {
            return host.program("qemu-system-x86_64") == nil
                ? .remark("/dev/kvm is there; without QEMU it cannot be tried", remedy: nil)
                : .good("/dev/kvm runs a guest")
        }
        return .lacking("/dev/kvm opens, but runs no guest (\(reason)): \(slow)", remedy: nil)
    }

    /// What libguestfs gives the appliance: QEMU's own user network, which needs no rights on this machine.
    private static func applianceNetwork(_ host: HostView) async -> Finding {
        guard let qemu = host.program("qemu-system-x86_64") else {
            return .remark("without QEMU it cannot be tried", remedy: "apt-get install qemu-system-x86")
        }
        let outcome = try? await Program(at: qemu).outcome(["-netdev", "help"])
        let kinds = outcome.map { ($0.output + "\n" + $0.errors).split(whereSeparator: \.isWhitespace) } ?? []
        guard kinds.contains("user") else {
            return .lacking(
                "\(qemu) has no user network (slirp): scripts and the guest's own package manager have none",
                remedy: "apt-get install --reinstall qemu-system-x86 libslirp0"
            )
        }
        return .good("QEMU's user network")
    }

    private static func firmware(_ host: HostView, _ kind: BootTest.Firmware, _ use: String) -> Finding {
        let pair = VirtualMachine.firmwareFiles(kind).first { host.exists($0.code) && host.exists($0.variables) }
        guard let pair else {
            return .lacking("the UEFI firmware for \(use) is not installed", remedy: "apt-get install ovmf")
        }
        return .good(pair.code)
    }

    // MARK: - Room

    /// A build of 2 GiB, and the cache's checkpoints of it.
    private static let comfortable = 6 * ByteSize.gibibyte
    private static let least = 4 * ByteSize.gibibyte

    private static func cachePath(_ host: HostView) -> String { (try? Cache().path) ?? "/var/tmp" }

    private static func space(_ host: HostView, at path: String, name: String) -> Finding {
        let folder = host.existingFolder(path)
        guard let free = Cache.freeSpace(at: folder) else {
            return .remark("how much room \(path) has cannot be told", remedy: nil)
        }
        guard unsafe access(folder, W_OK | X_OK) == 0 else {
            return .lacking("\(folder) cannot be written to by \(host.userName)", remedy: "export \(name)=/some/folder")
        }
        let evidence = "\(path) has \(ByteSize.describe(free)) free"
        let remedy = "free some room there, or take another place: export \(name)=/some/folder"
        if free < least { return .lacking("\(evidence): a build of 2 GiB needs about 4 GiB", remedy: remedy) }
        return free < comfortable ? .remark("\(evidence), which is little", remedy: remedy) : .good(evidence)
    }

    // MARK: - Disks

    private static func udev(_ host: HostView) -> Finding {
        guard host.exists("/sys/class/block") else {
            return .lacking("/sys is not mounted: disks cannot be found", remedy: "mount -t sysfs sysfs /sys")
        }
        guard host.exists("/run/udev/control") else {
            return .remark(
                "udevd does not run: disks are found, with fewer names and serial numbers",
                remedy: "systemctl start systemd-udevd"
            )
        }
        return .good("udevd runs")
    }

    private static func disks(_ host: HostView) -> Finding {
        let disks = host.names(in: "/sys/block").filter { name in
            !["loop", "ram", "zram"].contains { name.hasPrefix($0) } && host.exists("/dev/\(name)")
        }
        let unreadable = disks.filter { !host.permits("/dev/\($0)", R_OK) }
        guard !disks.isEmpty else { return .remark("there is no disk", remedy: nil) }
        guard unreadable.isEmpty else {
            return .lacking(
                "\(host.userName) may not read \(unreadable.map { "/dev/\($0)" }.joined(separator: ", ")): "
                    + "what is on them is not seen, and writing needs root",
                remedy: "sudo flashlayer write ..."
            )
        }
        return .good("\(disks.map { "/dev/\($0)" }.joined(separator: ", ")) can be read")
    }

    /// 1 leaves it to a group and to root, 2 to nobody. See "io_uring_disabled" in the kernel's sysctl documentation.
    private static func ring(_ host: HostView) -> Finding {
        let value = host.text("/proc/sys/kernel/io_uring_disabled")?.filter(\.isNumber)
        let remedy = "sysctl kernel.io_uring_disabled=0"
        switch value {
        case "2": return .lacking("io_uring is switched off, and disks are written through it", remedy: remedy)
        case "1" where !host.isRoot:
            return .lacking("io_uring is left to root, and disks are written through it", remedy: remedy)
        default: return .good("io_uring is allowed")
        }
    }

    /// What a ring of 2 MiB buffers wants to lock; root may lock all.
    private static func lockedMemory(_ host: HostView) -> Finding {
        // "Max locked memory  8388608  8388608  bytes": see proc(5).
        let line = (host.text("/proc/self/limits") ?? "").split(separator: "\n").first {
            $0.hasPrefix("Max locked memory")
        }
        guard let word = line?.split(whereSeparator: \.isWhitespace).dropFirst(3).first else {
            return .remark("the limit of locked memory cannot be told", remedy: nil)
        }
        guard !host.isRoot, let bytes = UInt64(word) else { return .good("no limit") }
        if bytes >= 8 * ByteSize.mebibyte { return .good("\(ByteSize.describe(bytes)) may be locked") }
        return .lacking(
            "\(ByteSize.describe(bytes)) may be locked: writing costs more of the processor",
            remedy: "ulimit -l 65536"
        )
    }

    private static func loop(_ host: HostView) -> Finding {
        host.exists("/dev/loop-control")
            ? .good("/dev/loop-control")
            : .lacking("there is no /dev/loop-control: the demo and the tests have no disk", remedy: "modprobe loop")
    }
}
