// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import TestSupport
import Testing

@Suite("What a disk carries, and how it is")
struct HolderTests {
    @Test("what is built on a disk is told up to where it is mounted")
    func tree() throws {
        let disk = try TopologyTests.laptop().inventory().disk(at: "/dev/nvme0n1")
        #expect(disk.holders.map(\.path) == ["/dev/dm-0"])
        #expect(disk.holders.first?.name == "cryptroot")
        #expect(disk.holders.first?.kind == "dm")
        #expect(disk.holders.first?.holders.map(\.path) == ["/dev/dm-1", "/dev/dm-2"])
        #expect(disk.holders.first?.holders.first?.mountPoints == ["/"])
        #expect(try FakeMachine.plain().inventory().disk(at: "/dev/sdb").holders.isEmpty)
    }

    @Test("a state and errors that sysfs has for nothing")
    func health() throws {
        let machine = try FakeMachine.plain()
        #expect(try machine.inventory().disk(at: "/dev/sdb").health == nil)
        let device = "/sys/devices/\(FakeMachine.Bus.usb.rawValue)/block/sdb/device"
        try machine.write("running", device + "/state")
        try machine.write("0x3", device + "/ioerr_cnt")
        #expect(try machine.inventory().disk(at: "/dev/sdb").health == "running, 3 I/O errors")
    }

    @Test("a btrfs of two disks is told on both, with where it is mounted; a pool of ZFS by its name")
    func pools() throws {
        let machine = try FakeMachine()
        try machine.disk("sda", "8:0", .sata)
        try machine.disk("sdb", "8:16", .sata).partition("sdb1", "8:17", of: "sdb", 1)
        machine.content("sdb", DiskContent(table: "gpt", entries: [.init(number: 1, offset: 1 << 20, size: 1 << 30)]))
        try machine.disk(
            "sdc",
            "8:32",
            .sata,
            content: DiskContent(superblock: .init(type: "zfs_member", label: "tank"))
        )
        for name in ["sda", "sdb1"] { try machine.write("", "/sys/fs/btrfs/a2f5/devices/\(name)") }
        machine.mount("0:29", "/", "btrfs", "/dev/sda", options: "rw,subvol=/@")
        machine.mount("0:31", "/srv", "zfs", "tank/srv")
        let inventory = try machine.inventory()
        let first = try inventory.disk(at: "/dev/sda")
        let second = try inventory.disk(at: "/dev/sdb")
        #expect(first.holders.map(\.kind) == ["btrfs"])
        #expect(first.holders.first?.mountPoints == ["/"])
        #expect(second.holders == first.holders)
        #expect(second.partitions.first?.mountPoints == ["/"])
        let pool = try #require(try inventory.disk(at: "/dev/sdc").holders.first)
        #expect(pool.path == nil && pool.name == "tank" && pool.kind == "zfs" && pool.mountPoints == ["/srv"])
    }

    @Test("a socket has one name, whether the stick in it speaks USB 2 or 3, and whichever bus came up first")
    func peers() throws {
        let pci = "pci0000:00/0000:00:14.0"
        // xHCI numbers the ports of each speed by itself: the socket is port 2 of the slow half and 6 of the fast one.
        let fast = "/sys/devices/\(pci)/usb1"
        let slow = "/sys/devices/\(pci)/usb2"
        let machine = try FakeMachine()
        try machine.write("5000", fast + "/speed")
        try machine.write("480", slow + "/speed")
        try machine.peers(fast + "/1-0:1.0/usb1-port6", slow + "/2-0:1.0/usb2-port2")
        // Behind a hub, whose two halves sit in that socket.
        try machine.peers(fast + "/1-6/1-6:1.0/1-6-port3", slow + "/2-2/2-2:1.0/2-2-port3")
        for (index, device) in ["usb1/1-6", "usb2/2-2", "usb1/1-6/1-6.3", "usb2/2-2/2-2.3"].enumerated() {
            let name = "sd" + ["a", "b", "c", "d"][index]
            let folder = "\(pci)/\(device)"
            try machine.disk(name, "8:\(index * 16)", below: folder + "/host\(index)")
            try machine.write("1", "/sys/devices/\(folder)/busnum")
            let parts = device.split(separator: "/")
            let own = parts.last ?? ""
            let hub = parts.count == 2 ? "usb\(own.prefix(1))-port\(own.suffix(1))" : "\(parts[1])-port3"
            let place = parts.count == 2 ? "\(own.prefix(1))-0:1.0/\(hub)" : "\(parts[1]):1.0/\(hub)"
            try machine.symbolicLink("../" + place, "/sys/devices/\(folder)/port")
        }
        let ports = try machine.inventory().disks().map(\.port)
        #expect(ports == ["0000:00:14.0/2", "0000:00:14.0/2", "0000:00:14.0/2.3", "0000:00:14.0/2.3"])
    }
}

extension FakeMachine {
    /// Two ports that the kernel knows to be of one socket, at two speeds.
    fileprivate func peers(_ fast: String, _ slow: String) throws {
        for port in [fast, slow] { try write("", port + "/quirks") }
        try symbolicLink(slow, fast + "/peer")
        try symbolicLink(fast, slow + "/peer")
    }
}
