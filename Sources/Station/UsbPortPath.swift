// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import BlockDevices

/// A physical port as the kernel reaches it: a host controller, one of its two buses, and the chain of ports from the
/// root hub through the hubs on the way.
///
/// Not udev's ID_PATH, which leaves the bus out: there two sockets can share one name, and one can have two. The number
/// of the bus is left out here as well, as it changes with the order of discovery, but not which kind of bus it is: a
/// controller counts its ports on each from 1.
package struct UsbPortPath: Hashable, Sendable {
    /// The wires of one socket belong to two buses. A stick is on one of them.
    package enum Side: String, Sendable {
        /// Low, full and high speed, up to 480 Mbit/s.
        case usb2
        /// SuperSpeed and above.
        case usb3
    }

    /// Its folder in sysfs below `/sys/devices`: `pci0000:00/0000:00:14.0`.
    package let controller: String
    package let side: Side
    /// `1.4`: port 4 of the hub in port 1. A hub more or less is another chain.
    package let chain: String

    package init(controller: String, side: Side, chain: String) {
        self.controller = controller
        self.side = side
        self.chain = chain
    }

    /// The port of a block device.
    ///
    /// - Parameter sysfsPath: its folder with links resolved, `/sys/devices/.../usb1/1-1/1-1.4/1-1.4:1.0/.../block/sdb`.
    /// - Returns: nil when it does not hang on USB, or sysfs does not say on which kind of bus.
    package init?(ofBlockDevice sysfsPath: String, in tree: FileTree = FileTree()) {
        let parts = sysfsPath.split(separator: "/", omittingEmptySubsequences: true)
        // The last interface on the way: beyond it nothing is USB.
        guard let interface = parts.lastIndex(where: { Self.chain(ofInterface: $0) != nil }),
            let chain = Self.chain(ofInterface: parts[interface]), interface > 0,
            parts[interface - 1] == parts[interface].prefix(while: { $0 != ":" })
        else { return nil }
        self.init(below: parts[..<interface], chain: chain, in: tree)
    }

    /// The same socket on the other bus, as the kernel pairs them by what the firmware tells; nil where it does not.
    ///
    /// - Parameter sysfsPath: that of a block device in it.
    package static func peer(ofBlockDevice sysfsPath: String, in tree: FileTree = FileTree()) -> UsbPortPath? {
        let parts = sysfsPath.split(separator: "/", omittingEmptySubsequences: true)
        guard let interface = parts.lastIndex(where: { chain(ofInterface: $0) != nil }) else { return nil }
        let device = "/" + parts[..<interface].joined(separator: "/")
        let link = tree.resolved(device + "/port") + "/peer"
        let peer = tree.resolved(link)
        return peer == link ? nil : UsbPortPath(port: peer, in: tree)
    }

    /// - Parameter port: `.../usb1/1-1/1-1:1.0/1-1-port4`, at the controller itself `.../usb1/1-0:1.0/usb1-port4`.
    private init?(port: String, in tree: FileTree) {
        let parts = port.split(separator: "/", omittingEmptySubsequences: true)
        guard let name = parts.last, let mark = name.lastRange(of: "-port") else { return nil }
        let hub = name[..<mark.lowerBound]
        let number = name[mark.upperBound...]
        guard !number.isEmpty, number.allSatisfy(\.isASCIIDigit) else { return nil }
        if hub.hasPrefix("usb") {
            self.init(below: parts[...], chain: String(number), in: tree)
        } else {
            guard let chain = Self.chain(ofDevice: hub) else { return nil }
            self.init(below: parts[...], chain: "\(chain).\(number)", in: tree)
        }
    }

    private init?(below parts: ArraySlice<Substring>, chain: String, in tree: FileTree) {
        guard parts.starts(with: ["sys", "devices"]),
            let root = parts.firstIndex(where: {
                $0.hasPrefix("usb") && $0.count > 3 && $0.dropFirst(3).allSatisfy(\.isASCIIDigit)
            }),
            root > 2, let speed = tree.text("/" + parts[...root].joined(separator: "/") + "/speed").flatMap(Double.init)
        else { return nil }
        self.init(
            controller: parts[2..<root].joined(separator: "/"),
            side: speed > 480 ? .usb3 : .usb2,
            chain: chain
        )
    }

    /// `1-1.4:1.0` is an interface of the device at 1.4.
    private static func chain(ofInterface name: Substring) -> String? {
        guard let colon = name.firstIndex(of: ":") else { return nil }
        let setting = name[name.index(after: colon)...]
        guard setting.contains("."), setting.allSatisfy({ $0.isASCIIDigit || $0 == "." }) else { return nil }
        return chain(ofDevice: name[..<colon])
    }

    /// `1-1.4`: bus 1, chain 1.4.
    private static func chain(ofDevice name: Substring) -> String? {
        let halves = name.split(separator: "-", omittingEmptySubsequences: false)
        guard halves.count == 2, !halves[0].isEmpty, halves[0].allSatisfy(\.isASCIIDigit), isChain(halves[1]) else {
            return nil
        }
        return String(halves[1])
    }

    /// Numbers from 1 with dots between; 0 stands for the root hub itself.
    static func isChain(_ text: Substring) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { port in
            port.first.map { ("1"..."9").contains($0) } ?? false && port.allSatisfy(\.isASCIIDigit) && port.count <= 3
        }
    }
}

extension UsbPortPath: CustomStringConvertible {
    package var description: String { "\(controller) \(side.rawValue) \(chain)" }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}

extension Substring {
    /// Where `word` stands last.
    fileprivate func lastRange(of word: String) -> Range<Index>? {
        var start = endIndex
        while true {
            if self[start...].hasPrefix(word) { return start..<index(start, offsetBy: word.count) }
            guard start > startIndex else { return nil }
            start = index(before: start)
        }
    }
}
