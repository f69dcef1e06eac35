// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Station
import Testing

@Suite("Sockets")
struct UsbPortPathTests {
    private static func path(_ side: UsbPortPath.Side, _ chain: String) -> UsbPortPath {
        UsbPortPath(controller: FakeUsb.controller, side: side, chain: chain)
    }

    @Test("a socket is the controller, the kind of bus and the chain of ports, whatever number the bus has")
    func chain() throws {
        let usb = try FakeUsb()
        #expect(usb.socket(bus: 1, chain: "3") == Self.path(.usb2, "3"))
        #expect(usb.socket(bus: 2, chain: "3") == Self.path(.usb3, "3"))
        #expect(usb.socket(bus: 1, chain: "3.4.2") == Self.path(.usb2, "3.4.2"))
        try usb.add(bus: 7, speed: 480)
        #expect(usb.socket(bus: 7, chain: "3") == Self.path(.usb2, "3"))
    }

    @Test("two units of one card reader are in the same socket")
    func units() throws {
        let usb = try FakeUsb()
        let first = FakeUsb.disk(bus: 1, chain: "3.4", unit: 0, name: "sdb")
        let second = FakeUsb.disk(bus: 1, chain: "3.4", unit: 1, name: "sdc")
        #expect(usb.socket(first) == Self.path(.usb2, "3.4"))
        #expect(usb.socket(second) == usb.socket(first))
    }

    @Test(
        "what does not hang on USB, or does not say so in the kernel's words, has no socket",
        arguments: [
            "/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda",
            "/sys/devices/virtual/block/loop0",
            "/sys/devices/pci0000:00/0000:00:14.0/usb9/9-1/9-1:1.0/host7/target7:0:0/7:0:0:0/block/sdb",
            "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-3/1-4:1.0/host7/target7:0:0/7:0:0:0/block/sdb",
            "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-/1-:1.0/block/sdb",
            "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-0/1-0:1.0/block/sdb",
            "/sys/devices/usb1/1-3/1-3:1.0/block/sdb",
            "/sys/block/sdb", "/", "",
        ]
    )
    func strangers(sysfsPath: String) throws {
        #expect(try FakeUsb().socket(sysfsPath) == nil)
    }

    @Test("the two sides of a socket are paired by the kernel's word, at the controller and in a hub, from either side")
    func peers() throws {
        let usb = try FakeUsb()
        try usb.plug(bus: 2, chain: "1", peer: (1, "5"))
        #expect(
            usb.peer(bus: 2, chain: "1") == Self.path(.usb2, "5")
        )
        try usb.plug(bus: 1, chain: "5.4", peer: (2, "1.4"))
        #expect(
            usb.peer(bus: 1, chain: "5.4") == Self.path(.usb3, "1.4")
        )
        try usb.plug(bus: 1, chain: "7", peer: nil)
        #expect(usb.peer(bus: 1, chain: "7") == nil)
    }
}
