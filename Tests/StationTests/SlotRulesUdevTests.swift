// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Programs
import Station
import TestSupport
import Testing

/// What udev itself makes of the rules, on a machine that umockdev describes: udevadm-test(8) changes nothing.
@Suite(
    "Rules for taught slots, read by udev",
    .enabled(if: getuid() == 0 && Program.isExecutable("/usr/bin/umockdev-run"), "needs root and umockdev")
)
struct SlotRulesUdevTests {
    /// A disk, and every USB device on the way to it.
    private static func describe(_ disk: String, number: Int, bus: Int) -> [String] {
        let parts = disk.split(separator: "/").dropFirst()
        var entries: [String] = []
        for (index, name) in zip(parts.indices, parts) {
            let isRoot = name == "usb\(bus)"
            guard isRoot || (name.hasPrefix("\(bus)-") && !name.contains(":")) else { continue }
            let devpath = isRoot ? "0" : String(name.dropFirst("\(bus)-".count))
            entries.append(
                "P: /" + parts[...index].joined(separator: "/")
                    + "\nE: DEVTYPE=usb_device\nE: SUBSYSTEM=usb\nA: devpath=\(devpath)\\n\nA: busnum=\(bus)\\n\n"
                    + "A: speed=\(bus == 1 ? 480 : 5000)\\n\n"
            )
        }
        entries.append(
            "P: /" + parts.joined(separator: "/") + "\nN: t\(number)\nE: DEVNAME=/dev/t\(number)\nE: DEVTYPE=disk\n"
                + "E: SUBSYSTEM=block\nE: MAJOR=8\nE: MINOR=\(number)\nA: size=8192\\n\n"
        )
        return entries
    }

    @Test("udev gives the group the disks of taught sockets, on both buses, and no other")
    func judged() async throws {
        var map = SlotMap()
        try map.teach(Slot(name: "a", controller: FakeUsb.controller, usb2: "5.1", usb3: "1.1"))
        try map.teach(Slot(name: "b", controller: FakeUsb.controller, usb2: "6", usb3: nil))
        let places = [1, 2].flatMap { bus in ["1.1", "5.1", "5.1.1", "5", "5.11", "6", "6.6"].map { (bus, $0) } }
        var entries: [String] = []
        var disks: [String] = []
        for (number, (bus, chain)) in places.enumerated() {
            disks.append(FakeUsb.disk(bus: bus, chain: chain, name: "t\(number)"))
            for entry in Self.describe(disks[number], number: number, bus: bus) where !entries.contains(entry) {
                entries.append(entry)
            }
        }
        let folder = try TemporaryFolder()
        try folder.write(entries.joined(separator: "\n"), to: "machine")
        try folder.write(SlotRules.text(for: map, group: "disk"), to: "rules")
        // No other rules, and no links in this machine's /dev.
        let script = """
            set -eu
            mount -t tmpfs none /run
            mount -t tmpfs none /usr/lib/udev/rules.d
            mkdir -p /run/udev/rules.d /dev/block
            mount -t tmpfs none /dev/block
            cp "$1/rules" /run/udev/rules.d/85-flashlayer-slots.rules
            exec umockdev-run -d "$1/machine" -- bash "$1/ask" "${@:2}"
            """
        let ask = """
            for disk; do
                echo "= $(udevadm test --action=add "$disk" 2>&1 | grep -c '85-flashlayer-slots.rules.* GROUP ')"
            done
            """
        try folder.write(ask, to: "ask")
        let outcome = try await FlashlayerProgram.script(
            #"exec unshare --mount bash "$@""#,
            arguments: [try folder.write(script, to: "script"), folder.path] + disks
        )
        let given = outcome.output.split(separator: "\n").filter { $0.hasPrefix("= ") }.map { $0 == "= 1" }
        let usb = try FakeUsb()
        #expect(given == disks.map { usb.socket($0).flatMap(map.slot) != nil }, "\(outcome.errors)")
        #expect(given.count { $0 } == 3)
    }
}
