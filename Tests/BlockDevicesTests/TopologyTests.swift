// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model
import TestSupport
import Testing

/// Machines as they stand in the field: the disk that they run from is found through whatever lies between.
@Suite("Topologies")
struct TopologyTests {
    @Test("a PC with a plain root")
    func plain() throws {
        let machine = try FakeMachine.plain()
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.evidence("/dev/sda", .systemDisk) == "/dev/sda1 mounted at / (mountinfo 22)")
    }

    @Test("a laptop: EFI partition, /boot, and root and swap on LVM in LUKS")
    func laptop() throws {
        let machine = try Self.laptop()
        #expect(try machine.codes("/dev/nvme0n1") == [.systemDisk, .mounted, .held, .internalDisk, .member])
        let evidence = try #require(try machine.evidence("/dev/nvme0n1", .systemDisk))
        #expect(
            evidence == """
                /dev/dm-1 (vg-root) mounted at / (mountinfo 22), on /dev/dm-0 (cryptroot), on /dev/nvme0n1p3; \
                /dev/nvme0n1p2 mounted at /boot (mountinfo 23); \
                /dev/nvme0n1p1 mounted at /boot/efi (mountinfo 24); \
                /dev/dm-2 (vg-swap) used as swap (/dev/dm-2), on /dev/dm-0 (cryptroot), on /dev/nvme0n1p3
                """
        )
        // The layers between are no targets either, not even with --allow.
        for name in ["/dev/dm-0", "/dev/dm-1", "/dev/dm-2"] {
            let codes = try machine.codes(name, WriteRequest(allowed: [.virtual, .internalDisk, .member]))
            #expect(!codes.isEmpty, "\(name)")
        }
        #expect(try machine.codes("/dev/sdb") == [])
    }

    @Test("a laptop whose swap alone lies in LUKS on the second disk")
    func layeredSwap() throws {
        let machine = try FakeMachine.plain()
        try machine.stack("dm-0", "252:0", on: ["sdb1"], mapper: "cryptswap").swap("/dev/mapper/cryptswap")
        #expect(try machine.codes("/dev/sdb") == [.systemDisk, .held])
    }

    @Test("a server with its root on md over two disks, and a third disk for data")
    func raid() throws {
        let machine = try FakeMachine()
        for (index, name) in ["sda", "sdc"].enumerated() {
            try machine.disk(name, "8:\(index * 32)", .sata)
            try machine.partition(name + "1", "8:\(index * 32 + 1)", of: name, 1)
        }
        try machine.disk("sdd", "8:48", .sata)
        try machine.stack("md0", "9:0", on: ["sda1", "sdc1"])
        machine.mount("9:0", "/", "xfs", "/dev/md0")
        for name in ["sda", "sdc"] {
            #expect(try machine.codes("/dev/" + name) == [.systemDisk, .held, .internalDisk])
            #expect(
                try machine.evidence("/dev/" + name, .systemDisk)
                    == "/dev/md0 mounted at / (mountinfo 22), on /dev/\(name)1"
            )
        }
        #expect(try machine.codes("/dev/sdd") == [.internalDisk])
        #expect(try machine.codes("/dev/md0").contains(.systemDisk))
    }

    @Test("a root on btrfs over two disks: mountinfo names only the first")
    func btrfs() throws {
        let machine = try FakeMachine()
        try machine.disk("sda", "8:0", .sata)
        try machine.disk("sdb", "8:16", .sata)
        try machine.disk("sdc", "8:32", .sata)
        for name in ["sda", "sdb"] { try machine.write("", "/sys/fs/btrfs/a2f5/devices/\(name)") }
        try machine.write("", "/sys/fs/btrfs/features/big_metadata")
        machine.mount("0:29", "/", "btrfs", "/dev/sda", options: "rw,subvol=/@")
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.codes("/dev/sdb") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.codes("/dev/sdc") == [.internalDisk])
    }

    @Test("a root on ZFS: disks are known by the pool that they carry, and one that cannot be read is refused")
    func zfs() throws {
        let machine = try FakeMachine()
        let root = DiskContent.Superblock(type: "zfs_member", label: "rpool")
        let other = DiskContent.Superblock(type: "zfs_member", label: "tank")
        let table = { (superblock: DiskContent.Superblock) in
            DiskContent(
                table: "gpt",
                entries: [.init(number: 3, offset: 1 << 30, size: 1 << 30, superblock: superblock)]
            )
        }
        try machine.disk("sda", "8:0", .sata, content: table(root))
        try machine.disk("sdb", "8:16", .sata, content: table(other))
        try machine.disk("sdc", "8:32", .sata)
        try machine.disk("sdd", "8:48", .sata, content: nil)
        machine.mount("0:30", "/", "zfs", "rpool/ROOT/debian")
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk, .member])
        #expect(try machine.codes("/dev/sdb") == [.internalDisk, .member])
        #expect(try machine.codes("/dev/sdc") == [.internalDisk])
        #expect(try machine.codes("/dev/sdd").contains(.systemDisk))
    }

    @Test("a live system on a stick: overlay over squashfs in a loop over a file on the stick")
    func live() throws {
        let machine = try FakeMachine()
        try machine.stick()
        try machine.disk("sda", "8:0", .sata)
        try machine.loop("loop0", "7:0", over: "/run/live/medium/live/filesystem.squashfs")
        // The kernel lists mounts as they were made, and an overlay is made of what is there.
        machine.mount("0:26", "/run/live/overlay", "tmpfs", "tmpfs", id: 23)
        machine.mount("8:17", "/run/live/medium", "vfat", "/dev/sdb1", id: 24)
        machine.mount("7:0", "/run/live/rootfs/filesystem.squashfs", "squashfs", "/dev/loop0", id: 25)
        machine.mount(
            "0:25",
            "/",
            "overlay",
            "overlay",
            options: "rw,lowerdir=/run/live/rootfs/filesystem.squashfs/,upperdir=/run/live/overlay/rw",
            id: 22
        )
        #expect(try machine.codes("/dev/sdb") == [.systemDisk, .mounted])
        #expect(
            try machine.evidence("/dev/sdb", .systemDisk) == "/dev/loop0 mounted at / (mountinfo 22), on /dev/sdb1"
        )
        #expect(try machine.codes("/dev/sda") == [.internalDisk])
    }

    @Test("an overlay over /usr shows the /usr that it hides")
    func systemExtension() throws {
        let machine = try FakeMachine.plain()
        machine.mount("0:40", "/run", "tmpfs", "tmpfs")
        machine.mount("0:41", "/usr", "overlay", "sysext", options: "ro,lowerdir=/run/systemd/sysext/meta/usr:/usr")
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.codes("/dev/sdb") == [])
    }

    @Test("compressed swap in memory that spills to a partition")
    func zram() throws {
        let machine = try FakeMachine.plain()
        try machine.disk("zram0", "253:0", .virtual, ["backing_dev": "/dev/sdb1"]).swap("/dev/zram0")
        #expect(
            try machine.evidence("/dev/sdb", .systemDisk) == "/dev/zram0 used as swap (/dev/zram0), on /dev/sdb1"
        )
    }

    @Test("a container does not see what its root lies on: every physical disk is refused, a loop device is not")
    func container() throws {
        let machine = try FakeMachine()
        try machine.stick()
        try machine.loop("loop0", "7:0", over: "/srv/disk.img")
        machine.mount(
            "0:60",
            "/",
            "overlay",
            "overlay",
            options: "rw,lowerdir=/var/lib/docker/l/AB:/var/lib/docker/l/CD,upperdir=/var/lib/docker/up"
        )
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
        #expect(try machine.evidence("/dev/sdb", .systemDisk)?.contains("/var/lib/docker/l/AB") == true)
        #expect(try machine.codes("/dev/loop0", WriteRequest(allowed: [.virtual])) == [])
        // A loop over the disk is the disk.
        try machine.loop("loop1", "7:1", over: "/dev/sdb")
        #expect(try machine.codes("/dev/loop1").contains(.systemDisk))
    }

    @Test("a container whose host's mounts can be seen is told apart")
    func visibleHost() throws {
        let machine = try FakeMachine()
        try machine.stick()
        try machine.disk("sda", "8:0", .sata)
        machine.mount("8:0", "/", "ext4", "/dev/sda", process: 1)
        machine.mount("0:61", "/", "tmpfs", "tmpfs")
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.codes("/dev/sdb") == [])
    }

    @Test(
        "a root in memory or on the network means that there is no system disk",
        arguments: [
            ("rootfs", "rootfs"), ("tmpfs", "tmpfs"), ("nfs4", "server:/export"), ("9p", "root"),
        ]
    )
    func diskless(type: String, source: String) throws {
        let machine = try FakeMachine()
        try machine.stick()
        machine.mount("0:2", "/", type, source)
        #expect(try machine.codes("/dev/sdb") == [])
    }

    @Test("a root or swap on something unheard of, or no root at all, refuses every disk")
    func unknown() throws {
        let strange = try FakeMachine()
        try strange.stick()
        strange.mount("0:70", "/", "futurefs", "pool-7")
        #expect(try strange.codes("/dev/sdb") == [.systemDisk])

        let chroot = try FakeMachine()
        try chroot.stick()
        #expect(try chroot.codes("/dev/sdb") == [.systemDisk])
        #expect(try chroot.evidence("/dev/sdb", .systemDisk)?.contains("no root file system") == true)

        let swapping = try FakeMachine.plain()
        try swapping.swap("/dev/mapper/unheard-of")
        #expect(try swapping.codes("/dev/sdb") == [.systemDisk])

        let vanished = try FakeMachine()
        try vanished.stick()
        vanished.mount("8:99", "/", "ext4", "/dev/sdz")
        #expect(try vanished.codes("/dev/sdb") == [.systemDisk])
    }

    @Test("a device to resume from holds the sleeping system")
    func resume() throws {
        let machine = try FakeMachine.plain()
        try machine.write("8:17", "/sys/power/resume")
        #expect(try machine.evidence("/dev/sdb", .systemDisk) == "/dev/sdb1 set as the device to resume from")
        try machine.write("0:0", "/sys/power/resume")
        #expect(try machine.codes("/dev/sdb") == [])
        try machine.write("quiet resume=UUID=11-22", "/proc/cmdline")
        #expect(try machine.codes("/dev/sdb") == [])
        machine.udev("sdb1", links: ["/dev/disk/by-uuid/11-22"])
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
    }

    @Test("the EFI system partition of this start need not be mounted")
    func loader() throws {
        let machine = try FakeMachine.plain()
        let uuid = "5B0C2A11-9D3E-4E5A-8F11-2C7A0D3B6E01"
        machine.content(
            "sdb",
            DiskContent(
                table: "gpt",
                entries: [.init(number: 1, offset: 1 << 20, size: 1 << 30, uuid: uuid.lowercased())]
            )
        )
        #expect(try machine.codes("/dev/sdb") == [])
        let utf16 = uuid.utf16.map { String(UnicodeScalar(UInt8($0))) + "\0" }.joined()
        try machine.write(
            "\u{06}\0\0\0" + utf16 + "\0\0",
            "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        )
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
    }

    @Test(
        "a loop over the system's own disk, partition or volume is the system's disk",
        arguments: [
            "/dev/sda", "/dev/sda1", "/dev/sda2",
        ]
    )
    func loopOverSystem(file: String) throws {
        let machine = try FakeMachine.plain()
        try machine.partition("sda2", "8:2", of: "sda", 2)
        try machine.loop("loop0", "7:0", over: file)
        #expect(try machine.codes("/dev/loop0", WriteRequest(allowed: [.virtual])).contains(.systemDisk))
    }

    @Test("two loop devices over the same bytes are in each other's way, over different parts of a file they are not")
    func sharedFile() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop0", "7:0", over: "/srv/a.img", limit: 1 << 20)
        try machine.loop("loop1", "7:1", over: "/srv/a.img")
        try machine.loop("loop2", "7:2", over: "/srv/b.img", limit: 1 << 20)
        try machine.loop("loop3", "7:3", over: "/srv/b.img", offset: 1 << 20)
        #expect(try machine.codes("/dev/loop0") == [.backsLoop, .virtual])
        #expect(try machine.codes("/dev/loop1") == [.backsLoop, .virtual])
        #expect(try machine.codes("/dev/loop2") == [.virtual])
        #expect(try machine.codes("/dev/loop3") == [.virtual])
    }

    @Test("a loop over the swap file is swap")
    func swapFile() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop0", "7:0", over: "/swapfile").swap("/swapfile", type: "file")
        #expect(try machine.codes("/dev/loop0") == [.swap, .virtual])
    }

    @Test("a file that the job needs protects the disk that it lies on, whatever lies between")
    func sources() throws {
        let machine = try Self.laptop()
        let mount = machine.mount("8:17", "/media/stick", "vfat", "/dev/sdb1")
        let home = machine.mount("252:1", "/home", "ext4", "/dev/mapper/vg-root")
        var request = WriteRequest()
        request.sourceFiles = [
            SourceFile(path: "/media/stick/a.raw", device: DeviceNumber(major: 8, minor: 17), inode: 7, mount: mount)
        ]
        #expect(try machine.codes("/dev/sdb", request) == [.mounted, .holdsSource])
        #expect(try machine.evidence("/dev/sdb", .holdsSource, request) == "/dev/sdb1 holds /media/stick/a.raw")

        request.sourceFiles = [
            SourceFile(path: "/home/me/a.raw", device: DeviceNumber(major: 252, minor: 1), inode: 7, mount: home)
        ]
        #expect(try machine.codes("/dev/nvme0n1", request).contains(.holdsSource))
        #expect(!(try machine.codes("/dev/sdb", request).contains(.holdsSource)))
    }

    @Test("an image that is a block device protects the disk that it is part of")
    func blockSource() throws {
        let machine = try FakeMachine.plain()
        var request = WriteRequest()
        request.sourceFiles = [
            SourceFile(
                path: "/dev/sdb1",
                device: DeviceNumber(major: 0, minor: 5),
                inode: 9,
                mount: nil,
                blockDevice: DeviceNumber(major: 8, minor: 17)
            )
        ]
        #expect(try machine.codes("/dev/sdb", request) == [.holdsSource])
        #expect(try !machine.codes("/dev/sda", request).contains(.holdsSource))
    }

    static func laptop() throws -> FakeMachine {
        let machine = try FakeMachine()
        let luks = DiskContent.Superblock(type: "crypto_LUKS")
        try machine.disk(
            "nvme0n1",
            "259:0",
            .nvme,
            size: 512_000_000_000,
            content: DiskContent(
                table: "gpt",
                entries: [.init(number: 3, offset: 1 << 30, size: 1 << 38, superblock: luks)]
            )
        )
        for index in 1...3 { try machine.partition("nvme0n1p\(index)", "259:\(index)", of: "nvme0n1", index) }
        try machine.stack("dm-0", "252:0", on: ["nvme0n1p3"], mapper: "cryptroot")
        try machine.stack("dm-1", "252:1", on: ["dm-0"], mapper: "vg-root")
        try machine.stack("dm-2", "252:2", on: ["dm-0"], mapper: "vg-swap")
        machine.mount("252:1", "/", "ext4", "/dev/mapper/vg-root")
        machine.mount("259:2", "/boot", "ext4", "/dev/nvme0n1p2")
        machine.mount("259:1", "/boot/efi", "vfat", "/dev/nvme0n1p1")
        try machine.swap("/dev/dm-2")
        try machine.stick()
        return machine
    }
}
