// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import TestSupport
import Testing

@testable import BlockDevices
@testable import FlashlayerCommands

@Suite("The table of 'flashlayer devices'")
struct DeviceTableTests {
    @Test("a PC and a stick, as a person reads them")
    func plain() throws {
        let machine = try FakeMachine.plain()
        let root = DiskContent.Superblock(type: "ext4", label: "rootfs")
        let entries = [1, 2].map { DiskContent.Entry(number: $0, offset: 1 << 20, size: 1 << 30, superblock: root) }
        machine.content("sdb", DiskContent(table: "gpt", entries: entries))
        let lines = DeviceTable(try machine.inventory().disks(), withReasons: true).lines
        #expect(
            lines == [
                "DEVICE    SIZE      BY    MODEL          SERIAL    CONTENTS                   STATE",
                "/dev/sda  466 GiB   sata  SSD 860        -         nothing known              system-disk, mounted",
                "    system-disk: /dev/sda1 mounted at / (mountinfo 22)",
                "    mounted: /dev/sda1 mounted at / (mountinfo 22)",
                "    internal: it is attached by sata and not removable",
                "/dev/sdb  14.9 GiB  usb   SanDisk Ultra  4C530001  ext4 rootfs, 2 partitions  ready",
            ]
        )
    }

    @Test(
        "whatever a device calls itself, a line stays a line of at most 100 columns",
        arguments: [
            "\u{1B}[2J\u{1B}[31mred", "a\r\nb\tc\u{7}", "\u{202E}gnp.exe", "\u{200F}x\u{2028}y", "<b>bold</b>",
            String(repeating: "long", count: 75), "", " ",
        ]
    )
    func hostile(name: String) throws {
        let machine = try FakeMachine.plain()
        try machine.write(name, "/sys/class/block/sdb/device/model")
        try machine.write(name, "/sys/class/block/sdb/device/vendor")
        try machine.write(name, "/sys/class/block/sdb/serial")
        machine.content("sdb", DiskContent(superblock: .init(type: "crypto_LUKS", label: name)))
        let disk = try machine.inventory().disk(at: "/dev/sdb")
        let lines = DeviceTable([disk], withReasons: true).lines
        // Evidence that no line has room for goes on below itself.
        if name.count < 80 { #expect(lines.count == 3) }
        for line in lines { #expect(TerminalColumns.of(line) <= 100) }
        let hidden = lines.joined().unicodeScalars.filter { scalar in
            [.control, .format, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
        }
        #expect(hidden.isEmpty)
    }

    @Test(
        "letters that are wide, or sit on others, do not push a line beyond 100 columns, nor a column out of place",
        arguments: [
            String(repeating: "漢字", count: 30), String(repeating: "e\u{301}\u{323}", count: 60),
            "ｆｕｌｌ　ｗｉｄｔｈ　ｎａｍｅ　ｏｆ　ａ　ｄｉｓｋ",
            "한국어 디스크 이름이 길다", "👩‍💻🇩🇪✔️ stick", "שלום עולם", "קובץ\u{202E}x",
        ]
    )
    func wide(name: String) throws {
        let machine = try FakeMachine.plain()
        try machine.write(name, "/sys/class/block/sdb/device/model")
        try machine.write(name, "/sys/class/block/sdb/serial")
        machine.content("sdb", DiskContent(superblock: .init(type: "ext4", label: name)))
        let lines = DeviceTable(try machine.inventory().disks(), withReasons: true).lines
        for line in lines { #expect(TerminalColumns.of(line) <= 100, "\(line)") }
        let start = { (line: String, word: String) in
            line.firstRange(of: word).map { TerminalColumns.of(String(line[..<$0.lowerBound])) }
        }
        let heading = try #require(start(lines[0], "STATE"))
        #expect(start(try #require(lines.last), "ready") == heading)
    }

    @Test("evidence that is longer than a line goes on below itself")
    func longEvidence() throws {
        let machine = try FakeMachine.plain()
        try machine.loop("loop0", "7:0", over: "/srv/" + String(repeating: "long name/", count: 20) + "漢字.img")
        let lines = DeviceTable(try machine.inventory().disks(), withReasons: true).lines
        #expect(lines.contains { $0.hasPrefix("    virtual: it is a loop device over /srv/long") })
        for line in lines { #expect(TerminalColumns.of(line) <= 100, "\(line)") }
    }

    @Test(
        "columns of a terminal",
        arguments: [("abc", 3), ("漢", 2), ("e\u{301}", 1), ("각", 2), ("✔️", 2), ("", 0), ("ﬀ", 1)]
    )
    func columns(text: String, width: Int) {
        #expect(TerminalColumns.of(text) == width)
        #expect(TerminalColumns.of(TerminalColumns.fit(text + text + "xyz", 4)) == 4)
    }

    @Test("what would lift the refusals is written out")
    func lifted() throws {
        let machine = try FakeMachine.plain()
        try machine.disk("sdc", "8:32", .sata, size: 4_000_000_000_000)
        let disk = try machine.inventory().disk(at: "/dev/sdc")
        let line = try #require(DeviceTable([disk], withReasons: false).lines.last)
        #expect(line.hasSuffix("  --allow internal --allow large"))
    }

    @Test("long names and contents make room for what would lift the refusals")
    func crowded() throws {
        let machine = try FakeMachine.plain()
        try machine.disk("sdc", "8:32", .sata, size: 4_000_000_000_000)
        for (name, text) in [("device/model", "Model"), ("device/vendor", "Vendor"), ("serial", "Serial")] {
            try machine.write(String(repeating: text, count: 8), "/sys/class/block/sdc/\(name)")
        }
        let label = String(repeating: "label", count: 8)
        machine.content("sdc", DiskContent(superblock: .init(type: "linux_raid_member", label: label)))
        let disk = try machine.inventory().disk(at: "/dev/sdc")
        let lines = DeviceTable([disk], withReasons: false).lines
        #expect(lines.count == 2)
        #expect(lines.last?.hasSuffix("  --allow internal --allow member --allow large") == true, "\(lines)")
        for line in lines { #expect(line.count <= 100) }
    }

    @Test("a state that no line has room for goes on below itself, and loses nothing")
    func wrapped() throws {
        let machine = try FakeMachine.plain()
        let disk = try machine.inventory().disk(at: "/dev/sdb")
        let codes: [ErrorCode] = [
            .readOnly, .systemDisk, .mounted, .swap, .held, .inUse, .backsLoop, .holdsSource, .sectorSize,
        ]
        let refused = codes.map { Refusal(code: $0, message: "", evidence: "", overridable: false) }
        let lines = DeviceTable([disk.with(refused)], withReasons: false).lines
        #expect(lines.count > 2)
        for line in lines { #expect(line.count <= 100) }
        let text = lines.joined(separator: " ")
        for code in codes { #expect(text.contains(code.rawValue)) }
    }
}

extension Disk {
    fileprivate func with(_ refusals: [Refusal]) -> Disk {
        Disk(
            path: path,
            diskseq: diskseq,
            size: size,
            logicalSectorSize: logicalSectorSize,
            physicalSectorSize: physicalSectorSize,
            vendor: vendor,
            model: model,
            serial: serial,
            wwn: wwn,
            transport: transport,
            removable: removable,
            rotational: rotational,
            readOnly: readOnly,
            byPath: byPath,
            port: port,
            linkSpeed: linkSpeed,
            partitions: partitions,
            contents: contents,
            refusals: refusals,
            subject: subject
        )
    }
}
