// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model

extension SlotMap {
    /// Where the taught slots stand.
    package static let file = "/etc/flashlayer/station.toml"

    /// Reads `station.toml`.
    ///
    /// - Parameters:
    ///   - text: the content of the file.
    ///   - file: its name in messages.
    /// - Throws: `bad-station`, with every fault, its line, and what was expected there.
    package init(text: String, file: String) throws {
        self = try ConfigurationTable.read(text, file: file, code: .badStation) { root in
            root.allow(["slot"])
            var map = SlotMap()
            for table in root.tables("slot") {
                guard let slot = Slot(table) else { continue }
                guard map.slot(named: slot.name) == nil else {
                    table.fault("name", "there is a slot '\(slot.name)' already")
                    continue
                }
                do {
                    try map.teach(slot)
                } catch {
                    table.fault(nil, FlashlayerError(wrapping: error).message)
                }
            }
            return map
        }
    }

    /// As `teach` writes it.
    package var text: String {
        var lines = [
            "# The sockets of the imaging station, written by `flashlayer station teach`.",
            "# A socket is a controller, by its folder below /sys/devices, and a chain of ports on each of its two buses.",
        ]
        for slot in slots {
            lines += ["", "[[slot]]", #"name = "\#(slot.name)""#, #"controller = "\#(slot.controller)""#]
            if let usb2 = slot.usb2 { lines.append(#"usb2 = "\#(usb2)""#) }
            if let usb3 = slot.usb3 { lines.append(#"usb3 = "\#(usb3)""#) }
            if let speed = slot.speed { lines.append("speed = \(speed)") }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Slot {
    /// nil when something is wrong with it, which is noted.
    fileprivate init?(_ table: ConfigurationTable) {
        table.allow(["name", "controller", "usb2", "usb3", "speed"])
        let name = table.text("name", "at most 32 letters, digits, '.', '_' and '-'", where: Slot.isName)
        let controller = table.text(
            "controller",
            "a folder below /sys/devices, such as \"pci0000:00/0000:00:14.0\"",
            where: Slot.isController
        )
        let chain = { (key: String) in
            table.text(key, "a chain of ports, such as \"1.4\"") { UsbPortPath.isChain($0[...]) }
        }
        let usb2 = chain("usb2")
        let usb3 = chain("usb3")
        let speed = table.integer("speed", "a link's Mbit/s, such as 5000", in: 1...100_000)
        for key in ["name", "controller"] where !table.has(key) { table.fault(nil, "[[slot]] lacks '\(key)'") }
        if !table.has("usb2") && !table.has("usb3") {
            table.fault(nil, "[[slot]] lacks its port: 'usb2', 'usb3' or both")
        }
        guard let name, let controller, usb2 != nil || usb3 != nil else { return nil }
        self.init(name: name, controller: controller, usb2: usb2, usb3: usb3, speed: speed)
    }
}
