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
}
