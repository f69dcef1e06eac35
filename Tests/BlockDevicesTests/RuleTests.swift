// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model
import TestSupport
import Testing

/// Each rule, tripped by one change to a machine whose stick may be written.
@Suite("Rules")
struct RuleTests {
    @Test("nothing speaks against a USB stick that nobody uses")
    func stick() throws {
        #expect(try FakeMachine.plain().codes("/dev/sdb") == [])
    }

    struct Trip: Sendable, CustomTestStringConvertible {
        let code: ErrorCode
        let evidence: String
        var request = WriteRequest()
        let change: @Sendable (FakeMachine) throws -> Void

        var testDescription: String { code.rawValue }
    }

    static let trips = [
        Trip(code: .noMedium, evidence: "the kernel gives its size as 0") { machine in
            try machine.write("0", "/sys/class/block/sdb/size")
        },
        Trip(code: .readOnly, evidence: "the kernel has it as read-only") { machine in
            try machine.write("1", "/sys/class/block/sdb/ro")
        },
        Trip(
            code: .tooSmall,
            evidence: "the image has 16000000001 bytes (14.9 GiB), the device 16000000000 (14.9 GiB)",
            request: WriteRequest(imageSize: 16_000_000_001)
        ) { _ in },
        Trip(code: .mounted, evidence: "/dev/sdb1 mounted at /media/my stick (mountinfo 23)") { machine in
            machine.mount("8:17", "/media/my\\040stick", "vfat", "/dev/sdb1")
        },
        Trip(
            code: .mounted,
            evidence: "/dev/sdb mounted at /data (in another mount namespace: process 4711, mountinfo 23)"
        ) { machine in
            machine.mount("8:16", "/data", "ext4", "/dev/sdb", process: 4711)
        },
        Trip(code: .mounted, evidence: "/dev/sdb1 mounted at /data (mountinfo 23)") { machine in
            machine.mount("0:47", "/data", "btrfs", "/dev/sdb1")
        },
        Trip(code: .swap, evidence: "/dev/sdb1 is swap (/proc/swaps)") { machine in
            try machine.swap("/dev/sdb1")
        },
        Trip(code: .held, evidence: "/dev/dm-0 (luks-stick) is built on /dev/sdb1") { machine in
            try machine.stack("dm-0", "252:0", on: ["sdb1"], mapper: "luks-stick")
        },
        Trip(code: .backsLoop, evidence: "/dev/loop0 reads and writes /dev/sdb1") { machine in
            try machine.loop("loop0", "7:0", over: "/dev/sdb1")
        },
        Trip(
            code: .sectorSize,
            evidence: "the image's partition table counts in 4096 bytes, the device in 512",
            request: WriteRequest(tableSectorSize: 4096)
        ) { _ in },
        Trip(code: .internalDisk, evidence: "it is attached by nvme and not removable") { machine in
            try machine.disk("nvme0n1", "259:0", .nvme)
        },
        Trip(code: .virtual, evidence: "it is a loop device over /srv/disk.img") { machine in
            try machine.loop("loop7", "7:7", over: "/srv/disk.img")
        },
        Trip(code: .member, evidence: "partition 1 is linux_raid_member 'box:0'") { machine in
            let raid = DiskContent.Superblock(type: "linux_raid_member", label: "box:0")
            machine.content(
                "sdb",
                DiskContent(table: "gpt", entries: [.init(number: 1, offset: 1 << 20, size: 1 << 30, superblock: raid)])
            )
        },
        Trip(code: .large, evidence: "it has 7.3 TiB") { machine in
            try machine.write("\(8_000_000_000_000 / 512)", "/sys/class/block/sdb/size")
        },
    ]

    @Test("each rule is tripped by one thing, and says what it saw", arguments: trips)
    func tripped(_ trip: Trip) throws {
        let machine = try FakeMachine.plain()
        try trip.change(machine)
        let path =
            switch trip.code {
            case .internalDisk: "/dev/nvme0n1"
            case .virtual: "/dev/loop7"
            default: "/dev/sdb"
            }
        #expect(try machine.codes(path, trip.request) == [trip.code])
        #expect(try machine.evidence(path, trip.code, trip.request) == trip.evidence)
    }

    @Test("a partition is refused by the name of its disk")
    func partition() throws {
        let machine = try FakeMachine.plain()
        let error = #expect(throws: FlashlayerError.self) { try machine.inventory().disk(at: "/dev/sdb1") }
        #expect(error?.code == .partition)
        #expect(error?.message == "/dev/sdb1 is a part of a disk: it is partition 1 of /dev/sdb")
    }

    @Test("the areas that soldered memory boots from are parts of it", arguments: ["boot0", "rpmb", "gp1"])
    func hardwareAreas(_ area: String) throws {
        let machine = try FakeMachine.plain()
        try machine.disk("mmcblk0", "179:0", .mmc, ["device/type": "MMC"])
        try machine.disk("mmcblk0" + area, "179:8", .mmc, ["device/type": "MMC"])
        #expect(try machine.codes("/dev/mmcblk0") == [.internalDisk])
        #expect(try machine.codes("/dev/mmcblk0" + area) == [.partition, .internalDisk])
        #expect(try machine.evidence("/dev/mmcblk0" + area, .partition) == "it is a hardware area of /dev/mmcblk0")
    }

    @Test("a card is external though its slot is not")
    func card() throws {
        let machine = try FakeMachine.plain()
        try machine.disk("mmcblk1", "179:16", .mmc, ["device/type": "SD"])
        #expect(try machine.codes("/dev/mmcblk1") == [])
    }

    @Test("an optical drive cannot be written")
    func optical() throws {
        let machine = try FakeMachine.plain()
        try machine.disk("sr0", "11:0", .sata, ["removable": "1"])
        #expect(try machine.codes("/dev/sr0") == [.readOnly])
    }

    @Test(
        "an encrypted, pooled or cached part is one of several",
        arguments: [
            "crypto_LUKS", "LVM2_member", "linux_raid_member", "isw_raid_member", "zfs_member", "bcache", "BitLocker",
        ]
    )
    func member(_ type: String) throws {
        let machine = try FakeMachine.plain()
        machine.content("sdb", DiskContent(superblock: .init(type: type)))
        #expect(try machine.codes("/dev/sdb") == [.member])
    }

    @Test("a file system of its own is no member", arguments: ["ext4", "vfat", "iso9660", "swap", "btrfs"])
    func noMember(_ type: String) throws {
        let machine = try FakeMachine.plain()
        machine.content("sdb", DiskContent(superblock: .init(type: type)))
        #expect(try machine.codes("/dev/sdb") == [])
    }

    @Test("what is allowed does not refuse, what cannot be allowed is a usage error")
    func allowed() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop7", "7:7", over: "/srv/disk.img")
        #expect(try machine.codes("/dev/loop7", WriteRequest(allowed: [.virtual])) == [])
        #expect(try machine.codes("/dev/sda", WriteRequest(allowed: [.systemDisk, .mounted])).contains(.systemDisk))
        #expect(try Rule.allowance("virtual") == .virtual)
        for word in ["system-disk", "mounted", "nonsense", "usage", ""] {
            let error = #expect(throws: FlashlayerError.self) { try Rule.allowance(word) }
            #expect(error?.code == .usage)
        }
    }

    @Test("the rules that can never be lifted come first, and each has its own code")
    func order() {
        let overridable = Rule.all.map(\.isOverridable)
        #expect(overridable == overridable.filter { !$0 } + overridable.filter { $0 })
        #expect(Set(Rule.all.map(\.code)).count == Rule.all.count)
        #expect(Rule.all.allSatisfy { $0.code.exitStatus == 77 })
    }

    @Test("of many reasons a few are shown")
    func many() throws {
        let machine = try FakeMachine.plain()
        for index in 0..<9 { machine.mount("8:17", "/mnt/\(index)", "ext4", "/dev/sdb1") }
        let evidence = try #require(try machine.evidence("/dev/sdb", .mounted))
        #expect(evidence.hasPrefix("/dev/sdb1 mounted at /mnt/0 (mountinfo 23); "))
        #expect(evidence.hasSuffix("; and 5 more"))
    }

    @Test("one mount that many containers see is named once")
    func containers() throws {
        let machine = try FakeMachine.plain()
        for process in [100, 200, 300] { machine.mount("8:17", "/data", "ext4", "/dev/sdb1", process: process) }
        let evidence = try machine.evidence("/dev/sdb", .mounted)
        #expect(
            evidence == "/dev/sdb1 mounted at /data (in another mount namespace: process 100, mountinfo 23)"
        )
    }
}
