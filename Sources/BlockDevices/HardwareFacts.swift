// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What a disk says of itself, from udev's database where there is one and from sysfs where there is not.
struct HardwareFacts: Sendable, Equatable {
    var logicalSectorSize = 512
    var physicalSectorSize = 512
    var vendor: String?
    var model: String?
    var serial: String?
    var wwn: String?
    var transport = Transport.unknown
    /// A card in a slot of the machine, for which the kernel uses the driver of soldered memory too.
    var isSDCard = false
    var removable = false
    var rotational = false
    var byPath: String?
    var port: String?
    var linkSpeed: Int?
    var health: String?

    init() {}

    init(_ node: BlockNode, _ tree: FileTree) {
        transport = Self.transport(node, tree)
        // Dozens of loop devices without a file are there on many machines.
        if transport == .loop && node.size == 0 { return }
        let path = node.sysfsPath
        // udev has a key also where the device leaves the text empty.
        let udev = node.properties.filter { !$0.value.isEmpty }
        let device = path + "/device"
        logicalSectorSize = tree.number(path + "/queue/logical_block_size").map(Int.init) ?? 512
        physicalSectorSize = tree.number(path + "/queue/physical_block_size").map(Int.init) ?? logicalSectorSize
        removable = tree.flag(path + "/removable")
        rotational = tree.flag(path + "/queue/rotational")
        isSDCard = transport == .mmc && tree.text(device + "/type") == "SD"
        // The SCSI layer calls every SATA disk's vendor "ATA" and cuts its model after 16 letters.
        let scsiVendor = tree.text(device + "/vendor").flatMap { $0 == "ATA" || $0.hasPrefix("0x") ? nil : $0 }
        vendor = udev["ID_VENDOR_ENC"].flatMap(UdevEscapes.text) ?? scsiVendor
        model =
            udev["ID_MODEL_ENC"].flatMap(UdevEscapes.text) ?? udev["ID_MODEL"] ?? tree.text(device + "/model")
            ?? tree.text(device + "/name")
        let usb = Self.usbDevice(path, tree)
        serial = Self.serial(path, usb: usb, tree) ?? udev["ID_SERIAL_SHORT"]
        wwn =
            udev["ID_WWN_WITH_EXTENSION"] ?? udev["ID_WWN"] ?? tree.text(path + "/wwid") ?? tree.text(device + "/wwid")
        byPath = node.links.filter { $0.hasPrefix("/dev/disk/by-path/") }.min { $0.count < $1.count }
        health = Self.health(device, tree)
        if let usb {
            port = Self.socket(usb, tree)
            linkSpeed = tree.text(usb + "/speed").flatMap { Double($0) }.map { Int($0) }
        }
    }

    /// From sysfs alone, so that it is the same whether udevd has seen the device or not.
    static func serial(of number: DeviceNumber) -> String? {
        let tree = FileTree()
        let path = tree.resolved("/sys/dev/block/\(number)")
        return serial(path, usb: usbDevice(path, tree), tree)
    }

    private static func serial(_ path: String, usb: String?, _ tree: FileTree) -> String? {
        tree.text(path + "/serial") ?? tree.text(path + "/device/serial") ?? usb.flatMap { tree.text($0 + "/serial") }
            ?? unitSerial(tree.bytes(path + "/device/vpd_pg80"))
    }

    private static func transport(_ node: BlockNode, _ tree: FileTree) -> Transport {
        let prefixes: [(String, Transport)] = [
            ("loop", .loop), ("zram", .zram), ("ram", .ram), ("dm-", .dm), ("md", .md), ("nbd", .nbd), ("nvme", .nvme),
            ("pmem", .pmem), ("vd", .virtio), ("xvd", .xen), ("fd", .floppy), ("mmcblk", .mmc),
        ]
        if let known = prefixes.first(where: { node.name.hasPrefix($0.0) }) { return known.1 }
        let parts = node.sysfsPath.split(separator: "/")
        let attachments: [(String, Transport)] = [
            ("usb", .usb), ("ata", .sata), ("session", .iscsi), ("end_device-", .sas), ("rport-", .fc),
            ("fw", .firewire),
        ]
        for (prefix, transport) in attachments
        where parts.contains(where: { $0.hasPrefix(prefix) && ($0.dropFirst(prefix.count).first?.isNumber ?? false) }) {
            return transport
        }
        return node.name.hasPrefix("sd") || node.name.hasPrefix("sr") ? .scsi : .unknown
    }

    /// The nearest folder above that is a USB device: its name is a bus and ports, `1-1.4`.
    private static func usbDevice(_ path: String, _ tree: FileTree) -> String? {
        var parts = path.split(separator: "/")
        while let last = parts.popLast() {
            let isDevice = last.contains("-") && last.allSatisfy { $0.isNumber || $0 == "-" || $0 == "." }
            let folder = "/" + (parts + [last]).joined(separator: "/")
            if isDevice && tree.exists(folder + "/busnum") { return folder }
        }
        return nil
    }

    /// What sysfs has for nothing: the state that SCSI and NVMe are in, SCSI's errors, the wear of soldered memory.
    private static func health(_ device: String, _ tree: FileTree) -> String? {
        let errors = tree.text(device + "/ioerr_cnt").flatMap { UInt64($0.dropFirst(2), radix: 16) } ?? 0
        // Two types of cells, each in tenths of its life: 0x0b is beyond it.
        let wear = tree.text(device + "/life_time")?.split(separator: " ").compactMap {
            UInt8($0.dropFirst(2), radix: 16)
        }
        let words = [
            tree.text(device + "/state"), errors > 0 ? "\(errors) I/O errors" : nil,
            wear?.max().flatMap { $0 > 0 ? "at most \($0) tenths of its life used" : nil },
        ]
        .compactMap { $0 }
        return words.isEmpty ? nil : words.joined(separator: ", ")
    }

    /// Controller and ports. The bus's own number is left out: it changes with the order of discovery. A socket has a
    /// port at each speed, of which the kernel knows that they belong together; it goes by the slower one's.
    private static func socket(_ device: String, _ tree: FileTree) -> String? {
        guard let own = UsbPort(device: device) else { return nil }
        let port = tree.resolved(device + "/port")
        guard let peer = UsbPort(port: tree.resolved(port + "/peer")), let speed = tree.number(peer.rootHub + "/speed"),
            speed <= 480
        else { return own.name }
        return peer.name
    }

    /// SCSI's unit serial number page: four bytes of heading, then text.
    private static func unitSerial(_ page: [UInt8]?) -> String? {
        guard let page, page.count > 4 else { return nil }
        let length = Int(page[2]) << 8 | Int(page[3])
        let text = page[4...].prefix(length).filter { $0 > 0x20 && $0 < 0x7F }
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
    }
}

/// A port of a USB controller, through the hubs on the way.
private struct UsbPort {
    /// In sysfs.
    let rootHub: String
    /// Controller and chain of ports, `0000:00:14.0/1.4`.
    let name: String

    /// - Parameter device: `.../0000:00:14.0/usb1/1-1/1-1.4`.
    init?(device: String) {
        self.init(device[...], chain: device.split(separator: "/").last?.split(separator: "-").last)
    }

    /// - Parameter port: `.../usb1/1-1/1-1:1.0/1-1-port4`, at the controller itself `.../usb1/1-0:1.0/usb1-port4`.
    init?(port: String) {
        let name = port.split(separator: "/").last ?? ""
        var hub = name.split(separator: "-")
        guard hub.count > 1, let last = hub.popLast(), last.hasPrefix("port") else { return nil }
        let number = last.dropFirst("port".count)
        self.init(port[...], chain: hub.count == 2 ? Substring("\(hub[1]).\(number)") : number)
    }

    private init?(_ path: Substring, chain: Substring?) {
        let parts = path.split(separator: "/")
        guard let bus = parts.firstIndex(where: { $0.hasPrefix("usb") }), bus > 0, let chain else { return nil }
        rootHub = "/" + parts[...bus].joined(separator: "/")
        name = "\(parts[bus - 1])/\(chain)"
    }
}

/// How udev writes what is not safe in a property: `\x20`.
enum UdevEscapes {
    static func decode(_ text: String) -> String {
        let source = Array(text.utf8)
        var bytes: [UInt8] = []
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "\\"), index + 3 < source.count, source[index + 1] == UInt8(ascii: "x"),
                let value = UInt8(String(decoding: source[(index + 2)...(index + 3)], as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                index += 4
            } else {
                bytes.append(source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Decoded, without the padding of SCSI's fixed fields; nil when nothing is left.
    static func text(_ property: String) -> String? {
        var text = decode(property)[...]
        while text.last == " " { text = text.dropLast() }
        while text.first == " " { text = text.dropFirst() }
        return text.isEmpty ? nil : String(text)
    }
}
