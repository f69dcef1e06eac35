// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// A taught socket.
package struct Slot: Hashable, Sendable {
    /// `1`, `front`: letters, digits, dot, hyphen and underscore.
    package let name: String
    package let controller: String
    /// Chains of ports on the controller's two buses; at least one is known.
    package let usb2: String?
    package let usb3: String?
    /// Mbit/s of the link with which it was taught; nil: unknown.
    package let speed: Int?

    package init(name: String, controller: String, usb2: String?, usb3: String?, speed: Int? = nil) {
        self.name = name
        self.controller = controller
        self.usb2 = usb2
        self.usb3 = usb3
        self.speed = speed
    }

    /// What `teach` makes of the stick that was plugged in.
    ///
    /// - Parameters:
    ///   - port: where it is.
    ///   - peer: the same socket on the other bus; nil where the kernel knows of none.
    package init(name: String, port: UsbPortPath, peer: UsbPortPath?, speed: Int?) {
        let ports = [port] + (peer.map { [$0] } ?? [])
        self.init(
            name: name,
            controller: port.controller,
            usb2: ports.first { $0.side == .usb2 }?.chain,
            usb3: ports.first { $0.side == .usb3 && $0.controller == port.controller }?.chain,
            speed: speed
        )
    }

    package var ports: [UsbPortPath] {
        let two = usb2.map { UsbPortPath(controller: controller, side: .usb2, chain: $0) }
        let three = usb3.map { UsbPortPath(controller: controller, side: .usb3, chain: $0) }
        return [two, three].compactMap { $0 }
    }

    /// A name stands in udev rules, on command lines and in file names.
    package static func isName(_ text: String) -> Bool {
        let isGood = { (byte: UInt8) in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return (1...32).contains(text.utf8.count) && text.utf8.allSatisfy(isGood) && !text.hasPrefix("-")
    }

    /// A folder below `/sys/devices`: nothing in it means something to the patterns of udev.
    package static func isController(_ text: String) -> Bool {
        !text.isEmpty && !text.hasPrefix("/") && !text.split(separator: "/").contains("..")
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "-"), UInt8(ascii: "@"), UInt8(ascii: ","), UInt8(ascii: "+"):
                    true
                default: false
                }
            }
    }
}

/// The sockets that were taught. What is not among them is never written.
package struct SlotMap: Sendable, Equatable {
    /// In the order in which they were taught.
    package private(set) var slots: [Slot] = []
    private var byPort: [UsbPortPath: String] = [:]

    package init() {}

    package func slot(at port: UsbPortPath) -> Slot? { byPort[port].flatMap { slot(named: $0) } }

    package func slot(named name: String) -> Slot? { slots.first { $0.name == name } }

    /// Adds a slot, or teaches one of that name anew.
    ///
    /// - Throws: `usage` when the name cannot be one, nothing is known of its port, or the socket is another slot's.
    package mutating func teach(_ slot: Slot) throws {
        guard Slot.isName(slot.name) else {
            throw FlashlayerError(
                .usage,
                "'\(Printable.line(slot.name))' cannot name a slot",
                advice: "take at most 32 letters, digits, dots, hyphens and underscores"
            )
        }
        guard !slot.ports.isEmpty else { throw FlashlayerError(.usage, "slot \(slot.name) has no port") }
        for port in slot.ports {
            if let owner = byPort[port], owner != slot.name {
                throw FlashlayerError(
                    .usage,
                    "the socket of slot \(slot.name) (\(port)) is slot \(owner) already",
                    advice: "give each socket one name"
                )
            }
        }
        byPort = byPort.filter { $0.value != slot.name }
        if let index = slots.firstIndex(where: { $0.name == slot.name }) {
            slots[index] = slot
        } else {
            slots.append(slot)
        }
        for port in slot.ports { byPort[port] = slot.name }
    }

    /// The slots that a command line names: `1-8,front`, or `all`.
    ///
    /// - Throws: `usage` when one was never taught; a range names only numbers, and every one of them.
    package func selection(_ text: String) throws -> Set<String> {
        if text == "all" { return Set(slots.map(\.name)) }
        var chosen: Set<String> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let name = String(part)
            let names: [String]
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
            if slot(named: name) == nil, ends.count == 2, let first = ends[0], let last = ends[1], first <= last {
                names = (first...last).map(String.init)
            } else {
                names = [name]
            }
            for name in names {
                guard slot(named: name) != nil else {
                    throw FlashlayerError(
                        .usage,
                        "there is no slot '\(Printable.line(name))'",
                        advice: slots.isEmpty
                            ? "plug a stick in and teach the slot: flashlayer station teach NAME"
                            : "taught are: \(slots.map(\.name).joined(separator: ", "))"
                    )
                }
                chosen.insert(name)
            }
        }
        return chosen
    }
}
