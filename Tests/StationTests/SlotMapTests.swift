// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Station
import Testing

@Suite("Taught slots")
struct SlotMapTests {
    private static let map: SlotMap = {
        var map = SlotMap()
        try? map.teach(Slot(name: "1", controller: FakeUsb.controller, usb2: "5.1", usb3: "1.1", speed: 5000))
        try? map.teach(Slot(name: "2", controller: FakeUsb.controller, usb2: "5.2", usb3: "1.2", speed: 5000))
        try? map.teach(Slot(name: "front", controller: "platform/soc/fe980000.usb", usb2: "1", usb3: nil))
        return map
    }()

    @Test("a stick is in the same slot on either bus, and in none behind one hub more or on the other bus's count")
    func lookup() throws {
        let usb = try FakeUsb()
        let slot = { (bus: Int, chain: String) in
            usb.socket(bus: bus, chain: chain).flatMap(Self.map.slot)?.name
        }
        #expect(slot(1, "5.1") == "1")
        #expect(slot(2, "1.1") == "1")
        #expect(slot(2, "1.2") == "2")
        for (bus, chain) in [(1, "5.1.1"), (1, "5"), (1, "1.1"), (2, "5.1"), (1, "5.11"), (1, "15.1"), (2, "1.1.1")] {
            #expect(slot(bus, chain) == nil, "\(bus) \(chain)")
        }
    }

    @Test("a socket has one name; a name that is taught again moves")
    func teaching() throws {
        var map = Self.map
        #expect(throws: FlashlayerError.self) {
            try map.teach(Slot(name: "9", controller: FakeUsb.controller, usb2: "5.2", usb3: nil))
        }
        #expect(throws: FlashlayerError.self) {
            try map.teach(Slot(name: "a\"b", controller: FakeUsb.controller, usb2: "6", usb3: nil))
        }
        #expect(throws: FlashlayerError.self) {
            try map.teach(Slot(name: "9", controller: FakeUsb.controller, usb2: nil, usb3: nil))
        }
        #expect(map == Self.map)
        try map.teach(Slot(name: "2", controller: FakeUsb.controller, usb2: "6", usb3: nil))
        #expect(map.slot(at: UsbPortPath(controller: FakeUsb.controller, side: .usb3, chain: "1.2")) == nil)
        #expect(map.slots.map(\.name) == ["1", "2", "front"])
    }

    @Test("what teach makes of a stick holds both sides of its socket")
    func taught() {
        let fast = UsbPortPath(controller: FakeUsb.controller, side: .usb3, chain: "1.1")
        let slow = UsbPortPath(controller: FakeUsb.controller, side: .usb2, chain: "5.1")
        let slot = Slot(name: "1", controller: FakeUsb.controller, usb2: "5.1", usb3: "1.1", speed: 5000)
        #expect(Slot(name: "1", port: fast, peer: slow, speed: 5000) == slot)
        #expect(Slot(name: "1", port: slow, peer: fast, speed: 5000) == slot)
    }

    @Test("slots are named one by one, by ranges of numbers, or all; one that was never taught is an error")
    func selection() throws {
        #expect(try Self.map.selection("1-2,front") == ["1", "2", "front"])
        #expect(try Self.map.selection("all").count == 3)
        for text in ["", "3", "1-3", "2-1", "1,", "front-1", "1-65535"] {
            #expect(throws: FlashlayerError.self, "\(text)") { try Self.map.selection(text) }
        }
    }

    @Test("what teach writes is what the daemon reads")
    func roundTrip() throws {
        #expect(try SlotMap(text: Self.map.text, file: "station.toml") == Self.map)
        #expect(try SlotMap(text: "", file: "station.toml").slots.isEmpty)
    }

    @Test(
        "a fault of station.toml is told with its file, its line, and what was expected there",
        arguments: [
            ("[[slot]]\nname = 1\n", "station.toml:2: 'name' must be a string in quotes, not the number 1"),
            ("[[slot]]\nname = \"1\"\nport = \"1\"\n", "station.toml:3: unknown key 'port' in [[slot]]"),
            ("[[slot]]\nname = \"1\"\ncontroller = \"x\"\nusb2 = \"1..2\"\n", "station.toml:4: 'usb2' must be a chain"),
            ("[[slot]]\nname = \"1\"\ncontroller = \"a*\"\n", "station.toml:3: 'controller' must be a folder below"),
            ("[[slot]]\nname = \"1\"\nusb2 = \"1\"\n", "station.toml:1: [[slot]] lacks 'controller'"),
            ("\n[[slot]]\nname = \"1\"\ncontroller = \"x\"\n", "station.toml:2: [[slot]] lacks its port"),
            ("slot = [\n", "station.toml:"),
        ]
    )
    func faults(text: String, message: String) throws {
        let error = try #require(throws: FlashlayerError.self) { try SlotMap(text: text, file: "station.toml") }
        #expect(error.code == .badStation)
        #expect(error.message.contains(message), "\(error.message)")
    }

    @Test("two slots in one socket, or of one name, are told")
    func twice() throws {
        let one = "[[slot]]\nname = \"1\"\ncontroller = \"x\"\nusb2 = \"1\"\n"
        for other in [one, one.replacing("\"1\"\nc", with: "\"2\"\nc")] {
            let error = try #require(throws: FlashlayerError.self) { try SlotMap(text: one + other, file: "s") }
            #expect(error.message.contains("already"), "\(error.message)")
        }
    }
}
