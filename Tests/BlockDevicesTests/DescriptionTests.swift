// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Model
import TestSupport
import Testing

@Suite("What the kernel writes")
struct ParsingTests {
    @Test("a line of mountinfo")
    func mountinfo() throws {
        let line = #"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 propagate_from:2 - ext3 /dev/ro\134ot rw,errors=x"#
        let mount = try #require(Mount(line: line))
        #expect(mount.id == 36)
        #expect(mount.device == DeviceNumber(major: 98, minor: 0))
        #expect(mount.mountPoint == "/mnt 2")
        #expect(mount.fileSystem == "ext3")
        #expect(mount.source == #"/dev/ro\ot"#)
        #expect(mount.options == ["rw", "errors=x"])
    }

    @Test(
        "every escape in a mount point, and what only looks like one",
        arguments: [
            (#"/a\040b"#, "/a b"), (#"/a\011b"#, "/a\tb"), (#"/a\012b"#, "/a\nb"), (#"/a\134040"#, #"/a\040"#),
            (#"/a\04"#, #"/a\04"#), (#"/a\999"#, #"/a\999"#), (#"/\303\244"#, "/ä"), ("/ä", "/ä"),
        ]
    )
    func escapes(text: String, meaning: String) throws {
        #expect(try #require(Mount(line: "1 1 8:1 / \(text) rw - ext4 /dev/sda1 rw")).mountPoint == meaning)
    }

    @Test("a mount without optional fields, without a source, or with a hyphen for a name")
    func sparseMounts() throws {
        #expect(try #require(Mount(line: "1 1 0:2 / / rw - rootfs rootfs rw")).fileSystem == "rootfs")
        let hyphen = try #require(Mount(line: "9 1 8:1 / - rw shared:4 - vfat /dev/sda1 ro"))
        #expect(hyphen.mountPoint == "-")
        #expect(hyphen.fileSystem == "vfat")
        let nameless = try #require(Mount(line: "9 1 0:4 / /x rw - tmpfs  rw,size=4k"))
        #expect(nameless.source == "")
        #expect(nameless.options == ["rw", "size=4k"])
    }

    @Test("what is no mount is none", arguments: ["", "1 2", "a 1 8:1 / / rw - ext4 x rw", "1 1 8 / / rw - ext4 x rw"])
    func noMount(line: String) {
        #expect(Mount(line: line) == nil)
    }

    @Test("lines of /proc/swaps")
    func swaps() throws {
        #expect(Swap(line: "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority") == nil)
        let disk = try #require(Swap(line: "/dev/sda2                               partition\t4\t\t0\t\t-2"))
        #expect(disk.path == "/dev/sda2" && !disk.isFile)
        let file = try #require(Swap(line: #"/my\040swap                  file    1048572 0 -3"#))
        #expect(file.path == "/my swap" && file.isFile)
    }

    @Test("a loop device's file, also one that has lost its name")
    func loops() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop0", "7:0", over: "/srv/a b.img (deleted)", offset: 512, limit: 4096)
        let node = try #require(try machine.inventory().view.nodes[DeviceNumber(major: 7, minor: 0)])
        #expect(node.loop?.path == "/srv/a b.img")
        #expect(node.loop?.isDeleted == true)
        #expect(node.loop?.offset == 512)
        #expect(node.loop?.sizeLimit == 4096)
    }

    @Test("device numbers")
    func numbers() {
        #expect(DeviceNumber("8:17") == DeviceNumber(major: 8, minor: 17))
        #expect(DeviceNumber(major: 259, minor: 300_000).rawValue != 0)
        #expect(DeviceNumber(DeviceNumber(major: 259, minor: 300_000).rawValue).minor == 300_000)
        for text in ["", "8", "8:", ":1", "8:1:2", "a:b", "-1:2"] { #expect(DeviceNumber(text) == nil) }
    }
}

@Suite("What a disk says of itself")
struct DescriptionTests {
    @Test("a USB stick without udevd: names, serial, socket and speed come from sysfs")
    func stick() throws {
        let disk = try FakeMachine.plain().inventory().disk(at: "/dev/sdb")
        #expect(disk.vendor == "SanDisk")
        #expect(disk.model == "Ultra")
        #expect(disk.serial == "4C530001")
        #expect(disk.transport == .usb)
        #expect(disk.port == "0000:00:14.0/1.4")
        #expect(disk.linkSpeed == 480)
        #expect(disk.removable)
        #expect(disk.byPath == nil)
        #expect(disk.identity.serial == "4C530001")
        #expect(disk.identity.deviceNumber == DeviceNumber(major: 8, minor: 16).rawValue)
    }

    @Test("udevd knows better names, and the links")
    func udev() throws {
        let machine = try FakeMachine.plain()
        machine.udev(
            "sda",
            [
                "ID_MODEL_ENC": #"Samsung\x20SSD\x20860\x20EVO\x20\x20"#, "ID_WWN": "0x5002538e",
                "ID_SERIAL_SHORT": "S3Z9",
            ],
            links: ["/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "/dev/disk/by-id/ata-Samsung"]
        )
        let inventory = try machine.inventory()
        let disk = try inventory.disk(at: "/dev/disk/by-id/ata-Samsung")
        #expect(disk.path == "/dev/sda")
        #expect(disk.vendor == nil)
        #expect(disk.model == "Samsung SSD 860 EVO")
        #expect(disk.serial == "S3Z9")
        #expect(disk.wwn == "0x5002538e")
        #expect(disk.byPath == "/dev/disk/by-path/pci-0000:00:1f.2-ata-1")
        #expect(disk.transport == .sata)
    }

    @Test("free loop devices are no disks; a card reader without a card is one")
    func listed() throws {
        let machine = try FakeMachine.plain()
        try machine.disk("loop0", "7:0", .virtual, size: 0)
        try machine.disk("zram0", "253:0", .virtual, size: 0)
        try machine.disk("sdc", "8:32", .usb, size: 0)
        let disks = try machine.inventory().disks()
        #expect(disks.map(\.path) == ["/dev/sda", "/dev/sdb", "/dev/sdc"])
        #expect(disks.last?.refusals.map(\.code) == [.noMedium])
    }

    @Test("disks are in the order a person counts")
    func order() throws {
        let machine = try FakeMachine()
        for (index, name) in ["sdaa", "sdb", "sda", "loop10", "loop9"].enumerated() {
            try machine.disk(name, "8:\(index)", .sata)
        }
        let names = try machine.inventory().disks().map(\.path)
        #expect(names == ["/dev/sda", "/dev/sdb", "/dev/sdaa", "/dev/loop9", "/dev/loop10"])
    }

    @Test(
        "contents in a few words",
        arguments: [
            (DiskContent(), "nothing known"),
            (DiskContent(superblock: .init(type: "ext4", label: "data")), "ext4 data"),
            (DiskContent(table: "gpt"), "empty GPT"),
            (
                DiskContent(
                    table: "dos",
                    entries: [
                        .init(number: 1, offset: 1, size: 100, superblock: .init(type: "vfat", label: "EFI")),
                        .init(number: 2, offset: 101, size: 900, superblock: .init(type: "ext4", label: "rootfs")),
                    ]
                ), "ext4 rootfs, 2 partitions"
            ),
            (DiskContent(table: "gpt", entries: [.init(number: 1, offset: 1, size: 100)]), "1 partition"),
            (
                DiskContent(
                    table: "gpt",
                    entries: [
                        .init(number: 1, offset: 1, size: 100, superblock: .init(type: "vfat", label: "DEBIAN-EFI")),
                        .init(number: 2, offset: 101, size: 900, superblock: .init(type: "ext4", label: "rootfs")),
                    ]
                ), "ext4 rootfs, 2 partitions, Debian"
            ),
            (
                DiskContent(superblock: .init(type: "iso9660", label: "d-live 12.5.0 st amd64")),
                "iso9660 d-live 12.5.0 st amd64, Debian"
            ),
            (DiskContent(superblock: .init(type: "btrfs", label: "fedora_box")), "btrfs fedora_box"),
            (
                DiskContent(
                    table: "gpt",
                    entries: [.init(number: 1, offset: 1, size: 9, type: "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC")]
                ), "1 partition, Windows"
            ),
        ]
    )
    func contents(content: DiskContent, words: String) {
        #expect(content.summary == words)
    }

    @Test("the JSON has every key of the contract, also for what is not known")
    func json() throws {
        let machine = try FakeMachine.plain()
        machine.content(
            "sdb",
            DiskContent(table: "gpt", entries: [.init(number: 1, offset: 2048 << 9, size: 1 << 30)])
        )
        machine.mount("8:17", "/mnt", "ext4", "/dev/sdb1")
        let data = try JSONEncoder().encode(try machine.inventory().disk(at: "/dev/sdb"))
        let object = try JSONDecoder().decode([String: JSONValue].self, from: data)
        #expect(
            Set(object.keys)
                == [
                    "path", "diskseq", "size", "logicalSectorSize", "physicalSectorSize", "vendor", "model", "serial",
                    "wwn", "transport", "removable", "rotational", "readOnly", "byPath", "port", "linkSpeed",
                    "partitions", "holders", "health", "contents", "refusals",
                ]
        )
        #expect(object["wwn"] == .null)
        guard case .array(let partitions) = object["partitions"], case .object(let first) = partitions.first,
            case .array(let refusals) = object["refusals"], case .object(let refusal) = refusals.first
        else {
            Issue.record("partitions and refusals are arrays of objects")
            return
        }
        #expect(
            Set(first.keys)
                == ["path", "number", "offset", "size", "type", "fsType", "label", "uuid", "mountPoints"]
        )
        #expect(first["mountPoints"] == .array([.string("/mnt")]))
        #expect(Set(refusal.keys) == ["code", "message", "evidence", "overridable"])
        #expect(refusal["code"] == .string("mounted"))
    }
}
