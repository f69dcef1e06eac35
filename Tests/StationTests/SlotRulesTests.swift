// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Station
import Testing

@Suite("Rules for taught slots")
struct SlotRulesTests {
    /// What udev does with the conditions of one line, by fnmatch(3) without FNM_PATHNAME, as udev calls it.
    private static func fits(_ line: Substring, path: String, devpath: String, speed: String) -> Bool {
        line.split(separator: ", ").allSatisfy { token in
            let sides = token.split(separator: "\"", omittingEmptySubsequences: false)
            guard sides.count == 3, sides[0].hasSuffix("==") else { return true }
            let value =
                switch sides[0] {
                case "DEVPATH==": path
                case "ATTRS{devpath}==": devpath
                case "ATTRS{speed}==": speed
                default: "?"
                }
            return sides[1].split(separator: "|").contains { unsafe fnmatch(String($0), value, 0) == 0 }
        }
    }

    /// - Parameter parents: (devpath, speed) of each USB device on the way; udev takes any one of them.
    private static func slot(of disk: String, parents: [(String, String)], in rules: String) -> String? {
        let path = String(disk.dropFirst("/sys".count))
        for line in rules.split(separator: "\n") where line.hasPrefix("DEVPATH") {
            if parents.contains(where: { fits(line, path: path, devpath: $0.0, speed: $0.1) }) {
                return line.split(separator: "\"").last.map(String.init)
            }
        }
        return nil
    }

    @Test("the rules take the very sockets that the map takes: not one hub further, not the other bus's count")
    func same() throws {
        var map = SlotMap()
        try map.teach(Slot(name: "a", controller: FakeUsb.controller, usb2: "5.1", usb3: "1.1"))
        try map.teach(Slot(name: "b", controller: FakeUsb.controller, usb2: "1.1", usb3: "2"))
        try map.teach(Slot(name: "c", controller: FakeUsb.controller, usb2: "6", usb3: nil))
        let rules = SlotRules.text(for: map)
        let usb = try FakeUsb()
        for bus in 1...2 {
            for chain in ["1", "1.1", "1.1.1", "5", "5.1", "5.1.5.1", "5.1.1", "5.11", "15.1", "2", "6", "6.6", "2.6"] {
                let disk = FakeUsb.disk(bus: bus, chain: chain)
                let ports = chain.split(separator: ".")
                let speed = bus == 1 ? "480" : "5000"
                let parents = ports.indices.map { (ports[...$0].joined(separator: "."), speed) } + [("0", speed)]
                let expected = usb.socket(disk).flatMap(map.slot)?.name
                #expect(Self.slot(of: disk, parents: parents, in: rules) == expected, "\(bus) \(chain)")
            }
        }
    }

    @Test("the group gets whole disks of slots, and no line starts anything")
    func group() throws {
        var map = SlotMap()
        try map.teach(Slot(name: "a", controller: FakeUsb.controller, usb2: "5.1", usb3: nil))
        let lines = SlotRules.text(for: map).split(separator: "\n")
        let giving = lines.filter { $0.contains("GROUP=") || $0.contains("MODE=") }
        #expect(giving == [#"ENV{FLASHLAYER_SLOT}=="?*", ENV{DEVTYPE}=="disk", GROUP="flashlayer", MODE="0660""#])
        #expect(!lines.contains { $0.contains("RUN") || $0.contains("SYSTEMD_WANTS") || $0.contains("PROGRAM") })
    }
}
