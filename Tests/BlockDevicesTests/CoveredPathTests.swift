// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model
import TestSupport
import Testing

/// A path is followed once, when something is mounted, attached or swapped to. What it leads to today may be another
/// file: what cannot be told refuses every disk.
@Suite("What lies below another mount")
struct CoveredPathTests {
    private static let overlay = "rw,lowerdir=/var/lib/docker/l/AB,upperdir=/var/lib/docker/up"

    @Test("a container's root comes from the host's /var, whatever the container mounts there itself")
    func container() throws {
        let machine = try FakeMachine()
        try machine.stick()
        machine.mount("0:60", "/", "overlay", "overlay", options: Self.overlay)
        machine.mount("0:61", "/var", "tmpfs", "tmpfs")
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
    }

    @Test("a root that is an overlay of a disk is that disk's, though something covers the place since")
    func coveredLayer() throws {
        let machine = try FakeMachine()
        try machine.stick()
        try machine.disk("sda", "8:0", .sata)
        machine.mount("8:0", "/layers", "ext4", "/dev/sda")
        machine.mount("0:60", "/", "overlay", "overlay", options: "rw,lowerdir=/layers/a,upperdir=/layers/b")
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.codes("/dev/sdb") == [])
        machine.mount("0:62", "/layers", "tmpfs", "tmpfs")
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
    }

    @Test("a copy of the namespace lists the root first: the first process's own list has the order of time")
    func copiedNamespace() throws {
        let machine = try FakeMachine()
        try machine.stick()
        try machine.disk("sda", "8:0", .sata)
        let options = "ro,lowerdir=/run/live/medium"
        machine.mount("8:0", "/run/live/medium", "ext4", "/dev/sda", process: 1)
        machine.mount("0:60", "/", "overlay", "overlay", options: options, process: 1)
        machine.mount("0:60", "/", "overlay", "overlay", options: options)
        machine.mount("8:0", "/run/live/medium", "ext4", "/dev/sda")
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.codes("/dev/sdb") == [])
    }

    @Test("layers with relative paths lie nobody knows where")
    func relativeLayers() throws {
        let machine = try FakeMachine.plain()
        machine.mount("0:60", "/usr", "overlay", "overlay", options: "ro,lowerdir=l/AB:l/CD")
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])

        // An image there may lie on any disk, too.
        let data = try FakeMachine.plain()
        let mount = data.mount("0:60", "/srv", "overlay", "overlay", options: "rw,lowerdir=l/AB,upperdir=l/CD")
        var request = WriteRequest()
        request.sourceFiles = [
            SourceFile(path: "/srv/a.raw", device: DeviceNumber(major: 0, minor: 60), inode: 7, mount: mount)
        ]
        #expect(try data.codes("/dev/sdb", request) == [.holdsSource])
        #expect(try data.codes("/dev/sdb") == [])
        try data.loop("loop0", "7:0", over: "/home/disk.img")
        request.allowed = [.virtual]
        #expect(try data.codes("/dev/loop0", request) == [])
    }

    @Test("a file of which no mount is seen may lie on any disk")
    func sourceWithoutMount() throws {
        let machine = try FakeMachine.plain()
        var request = WriteRequest()
        request.sourceFiles = [
            SourceFile(path: "/proc/self/fd/7", device: DeviceNumber(major: 0, minor: 99), inode: 7, mount: nil)
        ]
        #expect(try machine.codes("/dev/sdb", request) == [.holdsSource])
    }

    @Test("a root in a loop file is on the disk that holds it, also below a mount that covers it")
    func coveredLoopFile() throws {
        let machine = try FakeMachine()
        try machine.stick()
        try machine.disk("sda", "8:0", .sata)
        machine.mount("8:0", "/host", "ext4", "/dev/sda")
        try machine.loop("loop0", "7:0", over: "/host/root.img")
        machine.mount("7:0", "/", "ext4", "/dev/loop0")
        machine.mount("0:70", "/host", "tmpfs", "tmpfs")
        #expect(try machine.codes("/dev/sda") == [.systemDisk, .mounted, .internalDisk])
        #expect(try machine.codes("/dev/sdb") == [])
        // The driver knows the file system: its path no longer matters.
        machine.status("loop0", .backed(fileSystem: DeviceNumber(major: 8, minor: 16).rawValue, inode: 9, device: 0))
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
    }

    @Test("a root in a loop file that has no name any more, on a file system without a number, may be on any disk")
    func deletedLoopFile() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop0", "7:0", over: "/srv/usr.img (deleted)")
        machine.status("loop0", .backed(fileSystem: DeviceNumber(major: 0, minor: 44).rawValue, inode: 9, device: 0))
        machine.mount("7:0", "/usr", "squashfs", "/dev/loop0")
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
    }

    @Test("a loop device whose driver hangs is refused, and nothing else is for it")
    func silentLoop() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop0", "7:0", over: "/srv/a.img")
        machine.status("loop0", nil)
        #expect(try machine.codes("/dev/loop0") == [.noAnswer, .virtual])
        #expect(try machine.codes("/dev/sdb") == [])
        #expect(try machine.inventory().disk(at: "/dev/loop0").contents == "not responding")
    }

    @Test("a swap file that is deleted or covered may lie on any disk")
    func lostSwapFile() throws {
        let machine = try FakeMachine.plain()
        try machine.swap("/mnt/swapfile (deleted)", type: "partition")
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
    }

    @Test("a swap file on a data disk is swap, which a command ends")
    func swapFile() throws {
        let machine = try FakeMachine.plain()
        machine.mount("8:17", "/media/stick", "ext4", "/dev/sdb1")
        try machine.swap("/media/stick/swapfile", type: "file")
        #expect(try machine.codes("/dev/sdb") == [.mounted, .swap])
        #expect(
            try machine.evidence("/dev/sdb", .swap) == "/dev/sdb1 holds the swap file /media/stick/swapfile"
        )
    }

    @Test("a loop over a loop over a disk writes to the disk, and is not in its own way")
    func stackedLoops() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop0", "7:0", over: "/dev/sda1")
        try machine.loop("loop1", "7:1", over: "/dev/loop0")
        try machine.loop("loop2", "7:2", over: "/dev/loop1")
        #expect(try machine.codes("/dev/loop2").contains(.systemDisk))
        #expect(try !machine.codes("/dev/loop2").contains(.backsLoop))
        #expect(try machine.codes("/dev/loop1").contains(.backsLoop))

        let other = try FakeMachine.plain()
        try other.loop("loop0", "7:0", over: "/srv/a.img")
        try other.loop("loop1", "7:1", over: "/dev/loop0")
        #expect(try other.codes("/dev/loop1") == [.virtual])
        // Whoever shares the file at the bottom shares the bytes.
        try other.loop("loop5", "7:5", over: "/srv/a.img")
        #expect(try other.codes("/dev/loop1") == [.backsLoop, .virtual])
    }

    @Test("a part of something larger needs a word, also where the word is no member's")
    func parts() throws {
        let machine = try FakeMachine.plain()
        machine.content("sdb", DiskContent(superblock: .init(type: "btrfs", label: "pool", deviceCount: 2)))
        #expect(try machine.codes("/dev/sdb") == [.member])
        #expect(try machine.evidence("/dev/sdb", .member) == "the disk is btrfs 'pool', one of 2 devices")
        machine.content("sdb", DiskContent(superblock: .init(type: "btrfs", label: "data", deviceCount: 1)))
        #expect(try machine.codes("/dev/sdb") == [])
        machine.content("sdb", DiskContent(superblock: .init(type: "jbd")))
        #expect(try machine.codes("/dev/sdb") == [.member])
    }

    @Test("a disk that cannot be read may hold the partition that this machine was started from")
    func unreadableLoader() throws {
        let machine = try FakeMachine.plain()
        machine.content("sdb", nil)
        #expect(try machine.codes("/dev/sdb") == [])
        let text = "5b0c2a11".utf16.map { String(UnicodeScalar(UInt8($0))) + "\0" }.joined()
        try machine.write(
            "\u{06}\0\0\0" + text + "\0\0",
            "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        )
        #expect(try machine.codes("/dev/sdb") == [.systemDisk])
        machine.udev("sda1", ["ID_PART_ENTRY_UUID": "5b0c2a11"])
        #expect(try machine.codes("/dev/sdb") == [])
    }
}
