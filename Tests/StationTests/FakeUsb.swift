// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Glibc
import Station
import TestSupport

/// The part of sysfs that sockets are read from, laid out as the kernel does it: one xHCI controller with a USB 2 and a
/// USB 3 bus whose root ports are counted differently, and a hub in one of its sockets.
struct FakeUsb {
    static let controller = "pci0000:00/0000:00:14.0"
    private let folder: TemporaryFolder
    private var tree: FileTree { FileTree(root: folder.path) }

    init() throws {
        folder = try TemporaryFolder(inMemory: true)
        try add(bus: 1, speed: 480)
        try add(bus: 2, speed: 10_000)
    }

    // Methods, so that the folder is there for as long as it is read.
    func socket(_ sysfsPath: String) -> UsbPortPath? { UsbPortPath(ofBlockDevice: sysfsPath, in: tree) }

    func socket(bus: Int, chain: String) -> UsbPortPath? { socket(Self.disk(bus: bus, chain: chain)) }

    func peer(bus: Int, chain: String) -> UsbPortPath? {
        UsbPortPath.peer(ofBlockDevice: Self.disk(bus: bus, chain: chain), in: tree)
    }

    /// Another bus of the same controller.
    func add(bus: Int, speed: Int) throws {
        try folder.write("\(speed)\n", to: "sys/devices/\(Self.controller)/usb\(bus)/speed")
    }

    /// - Parameters:
    ///   - bus: its number, as it happened to be given.
    ///   - chain: of ports.
    ///   - unit: of SCSI.
    /// - Returns: the folder of a disk there, whether it was made or not.
    static func disk(bus: Int, chain: String, unit: Int = 0, name: String = "sdb") -> String {
        let ports = chain.split(separator: ".")
        let devices = ports.indices.map { "\(bus)-" + ports[...$0].joined(separator: ".") }
        let way = devices.joined(separator: "/")
        return "/sys/devices/\(controller)/usb\(bus)/\(way)/\(bus)-\(chain):1.0/host7/target7:0:0/7:0:0:\(unit)/block/"
            + name
    }

    static func device(bus: Int, chain: String) -> String {
        let parts = disk(bus: bus, chain: chain).split(separator: "/")
        return "/" + parts.prefix { !$0.hasSuffix(":1.0") }.joined(separator: "/")
    }

    static func port(bus: Int, chain: String) -> String {
        guard let dot = chain.lastIndex(of: ".") else {
            return "/sys/devices/\(controller)/usb\(bus)/\(bus)-0:1.0/usb\(bus)-port\(chain)"
        }
        let hub = String(chain[..<dot])
        return device(bus: bus, chain: hub) + "/\(bus)-\(hub):1.0/\(bus)-\(hub)-port" + chain[dot...].dropFirst()
    }

    /// A stick in a socket whose two sides the kernel knows to belong together.
    func plug(bus: Int, chain: String, peer: (bus: Int, chain: String)?) throws {
        let device = Self.device(bus: bus, chain: chain)
        let port = Self.port(bus: bus, chain: chain)
        try folder.write("\(bus)\n", to: String(device.dropFirst()) + "/busnum")
        try folder.write("", to: String(port.dropFirst()) + "/connect_type")
        try link(device + "/port", to: port)
        guard let peer else { return }
        let other = Self.port(bus: peer.bus, chain: peer.chain)
        try folder.write("", to: String(other.dropFirst()) + "/connect_type")
        try link(port + "/peer", to: other)
    }

    /// Relative, as sysfs has them.
    private func link(_ path: String, to target: String) throws {
        let up = path.split(separator: "/").dropLast().map { _ in ".." }.joined(separator: "/")
        _ = unsafe unlink(folder.path + path)
        guard unsafe symlink(up + target, folder.path + path) == 0 else { throw CannotLink() }
    }

    private struct CannotLink: Error {}
}
