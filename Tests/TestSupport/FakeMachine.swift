// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import BlockDevices
import FoundationEssentials
import Glibc
package import Model

/// Another machine, laid out as files in a folder: what sysfs and procfs would show there.
package final class FakeMachine {
    private let folder: TemporaryFolder
    private var made: Set<String> = []
    private struct MountLine {
        let point: String
        let id: Int
        let parent: Int?
        let text: String
    }

    private var mounts: [Int?: [MountLine]] = [:]
    private var swaps = ["Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority"]
    private var contents: [String: DiskContent] = [:]
    private var properties: [String: CatalogEntry] = [:]
    private var statuses: [String: LoopStatus?] = [:]
    private var places: [String: String] = [:]
    private var nextMount = 20

    /// A machine with procfs mounted and nothing else.
    package init() throws {
        folder = try TemporaryFolder(inMemory: true)
        try write("rw quiet", "/proc/cmdline")
        mount("0:21", "/proc", "proc", "proc")
    }

    /// Where a disk of each kind hangs in sysfs.
    package enum Bus: String {
        case usb = "pci0000:00/0000:00:14.0/usb1/1-1/1-1.4/1-1.4:1.0/host6/target6:0:0/6:0:0:0"
        case sata = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0"
        case nvme = "pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0"
        case mmc = "platform/emmc2bus/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa"
        case virtio = "pci0000:00/0000:00:02.0/virtio1"
        case virtual
    }

    /// Adds a whole disk.
    ///
    /// - Parameter size: bytes.
    @discardableResult
    package func disk(
        _ name: String,
        _ number: String,
        _ bus: Bus,
        size: UInt64 = 16_000_000_000,
        sector: Int = 512,
        _ attributes: [String: String] = [:],
        content: DiskContent? = DiskContent()
    ) throws -> Self {
        try disk(name, number, below: bus.rawValue, size: size, sector: sector, attributes, content: content)
    }

    /// Adds a whole disk at another place.
    ///
    /// - Parameter folder: the device that it belongs to, below /sys/devices.
    @discardableResult
    package func disk(
        _ name: String,
        _ number: String,
        below folder: String,
        size: UInt64 = 16_000_000_000,
        sector: Int = 512,
        _ attributes: [String: String] = [:],
        content: DiskContent? = DiskContent()
    ) throws -> Self {
        let place = "/sys/devices/\(folder)/block/\(name)"
        places[name] = place
        try write(number, place + "/dev")
        try write("\(size / 512)", place + "/size")
        try write("0", place + "/ro")
        try write("0", place + "/removable")
        try write("\(number.hashValue & 0xFFFF)", place + "/diskseq")
        try write("\(sector)", place + "/queue/logical_block_size")
        try write("\(sector)", place + "/queue/physical_block_size")
        for (attribute, value) in attributes { try write(value, "\(place)/\(attribute)") }
        try link(name, place)
        contents["/dev/" + name] = content
        return self
    }

    @discardableResult
    package func partition(_ name: String, _ number: String, of disk: String, _ index: Int, size: UInt64 = 1 << 30)
        throws
        -> Self
    {
        let place = "\(places[disk] ?? "")/\(name)"
        places[name] = place
        try write(number, place + "/dev")
        try write("\(size / 512)", place + "/size")
        try write("\(index)", place + "/partition")
        try write("\(2048 * index)", place + "/start")
        try write("0", place + "/ro")
        try link(name, place)
        return self
    }

    /// Adds a dm or md device built on others.
    @discardableResult
    package func stack(_ name: String, _ number: String, on lower: [String], mapper: String? = nil) throws -> Self {
        try disk(name, number, .virtual, mapper.map { ["dm/name": $0] } ?? [:])
        for each in lower {
            try write("", "\(places[name] ?? "")/slaves/\(each)")
            try write("", "\(places[each] ?? "")/holders/\(name)")
        }
        return self
    }

    @discardableResult
    package func loop(_ name: String, _ number: String, over file: String, offset: UInt64 = 0, limit: UInt64 = 0) throws
        -> Self
    {
        try disk(
            name,
            number,
            .virtual,
            size: 1 << 30,
            ["loop/backing_file": file, "loop/offset": "\(offset)", "loop/sizelimit": "\(limit)"]
        )
    }

    /// A line of mountinfo.
    ///
    /// Mounts are listed in the order in which they were made, as the kernel does.
    ///
    /// - Parameters:
    ///   - process: whose; nil for ours.
    ///   - id: nil for the next one. The kernel gives numbers that have become free again.
    @discardableResult
    package func mount(
        _ device: String,
        _ point: String,
        _ type: String,
        _ source: String,
        options: String = "rw",
        process: Int? = nil,
        id: Int? = nil
    ) -> Int {
        if id == nil { nextMount += 1 }
        let number = id ?? nextMount
        // What the path leads to so far is what it is mounted on; a root that comes later is below what was there.
        let covering = mounts[process, default: []].filter {
            point == $0.point || point.hasPrefix($0.point + "/") || $0.point == "/"
        }
        let parent = covering.last { $0.point != "/" } ?? covering.last
        mounts[process, default: []].append(
            MountLine(
                point: point,
                id: number,
                parent: parent?.id,
                text: "\(device) / \(point) rw,relatime shared:1 - \(type) \(source) \(options)"
            )
        )
        return number
    }

    @discardableResult
    package func swap(_ path: String, type: String = "partition", isSeen: Bool = true) throws -> Self {
        if type == "file", isSeen { try write("", path) }
        swaps.append("\(path)                               \(type)\t\t1048572\t\t0\t\t-2")
        return self
    }

    /// What udevd would say of a disk.
    @discardableResult
    package func udev(_ name: String, _ values: [String: String] = [:], links: [String] = []) -> Self {
        properties[name] = CatalogEntry(sysfsPath: places[name] ?? "", properties: values, links: links)
        return self
    }

    package func content(_ name: String, _ content: DiskContent?) {
        contents["/dev/" + name] = content
    }

    /// What a loop device's driver says; nil: it hangs.
    package func status(_ name: String, _ status: LoopStatus?) {
        statuses["/dev/" + name] = .some(status)
    }

    /// Any other file.
    package func write(_ text: String, _ path: String) throws {
        let file = folder.path + path
        let parent = String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)])
        if made.insert(parent).inserted {
            try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        }
        // Thousands of them are made: nothing but what it takes.
        let descriptor = unsafe open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FlashlayerError.system("make \(file)", .current, code: .cannotCreate) }
        defer { close(descriptor) }
        let bytes = Array((text.isEmpty ? text : text + "\n").utf8)
        let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard count == bytes.count else { throw FlashlayerError.system("write \(file)", .current, code: .cannotCreate) }
    }

    /// Any other link, of which only the last part may be missing.
    package func symbolicLink(_ target: String, _ path: String) throws {
        guard unsafe symlink(target, folder.path + path) == 0 else {
            throw FlashlayerError.system("link \(path)", .current, code: .cannotCreate)
        }
    }

    package func inventory() throws -> Inventory {
        for (process, lines) in mounts {
            // What was there before the root that came last was moved below it.
            let root = lines.last { $0.point == "/" }
            let texts = lines.map { line in
                let parent = line.parent ?? (line.point == "/" ? nil : root?.id)
                return "\(line.id) \(parent ?? 1) \(line.text)"
            }
            try write(texts.joined(separator: "\n"), "/proc/\(process.map { "\($0)" } ?? "self")/mountinfo")
            guard let process else { continue }
            try write("", "/proc/\(process)/ns/x")
            try? FileManager.default.createSymbolicLink(
                atPath: folder.file("proc/\(process)/ns/mnt"),
                withDestinationPath: "mnt:[\(process)]"
            )
        }
        try write(swaps.joined(separator: "\n"), "/proc/swaps")
        let tree = FileTree(root: folder.path)
        return try Inventory(
            tree: tree,
            catalog: Catalog(sysfs: SysfsCatalog(tree), known: Array(properties.values)),
            observer: Observer(contents: contents, statuses: statuses)
        )
    }

    /// The codes that refuse a disk, in the order of the rules.
    package func codes(_ path: String, _ request: WriteRequest = WriteRequest()) throws -> [ErrorCode] {
        let inventory = try inventory()
        return inventory.refusals(of: try inventory.disk(at: path), for: request).map(\.code)
    }

    /// The evidence of one rule against a disk.
    package func evidence(_ path: String, _ code: ErrorCode, _ request: WriteRequest = WriteRequest()) throws -> String?
    {
        let inventory = try inventory()
        return inventory.refusals(of: try inventory.disk(at: path), for: request).first { $0.code == code }?.evidence
    }

    private func link(_ name: String, _ place: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder.file("sys/class/block"),
            withIntermediateDirectories: true
        )
        let target = "../.." + place.dropFirst("/sys".count)
        guard unsafe symlink(target, folder.file("sys/class/block/\(name)")) == 0 else {
            throw FlashlayerError.system("link \(name)", .current, code: .cannotCreate)
        }
    }

    private struct Catalog: DeviceCatalog {
        let sysfs: SysfsCatalog
        let known: [CatalogEntry]

        func entries() -> [CatalogEntry] {
            sysfs.entries().map { entry in known.first { $0.sysfsPath == entry.sysfsPath } ?? entry }
        }
    }

    private struct Observer: DeviceObserver {
        let contents: [String: DiskContent]
        let statuses: [String: LoopStatus?]

        func contents(of paths: [String]) -> [String: ProbeOutcome] {
            Dictionary(paths.map { ($0, contents[$0].map { .content($0) } ?? .unreadable) }) { first, _ in first }
        }

        func loops(at paths: [String]) -> [String: LoopStatus] {
            Dictionary(paths.map { ($0, statuses[$0] ?? .unknown) }) { first, _ in first }.compactMapValues { $0 }
        }

        func unseen(of folders: [String]) -> Set<String> { [] }

        func access(to paths: [String]) -> [String: ExclusiveAccess] {
            Dictionary(paths.map { ($0, .free) }) { first, _ in first }
        }
    }
}

extension FakeMachine {
    /// A PC with its root on the first partition of a SATA disk, and a USB stick that nothing speaks against.
    package static func plain() throws -> FakeMachine {
        let machine = try FakeMachine()
        try machine.disk(
            "sda",
            "8:0",
            .sata,
            size: 500_000_000_000,
            ["device/vendor": "ATA", "device/model": "SSD 860"]
        )
        try machine.partition("sda1", "8:1", of: "sda", 1)
        machine.mount("8:1", "/", "ext4", "/dev/sda1")
        try machine.stick()
        return machine
    }

    /// A USB stick, /dev/sdb with one partition.
    @discardableResult
    package func stick(size: UInt64 = 16_000_000_000, sector: Int = 512) throws -> Self {
        try disk(
            "sdb",
            "8:16",
            .usb,
            size: size,
            sector: sector,
            ["device/vendor": "SanDisk ", "device/model": "Ultra           ", "removable": "1"]
        )
        try partition("sdb1", "8:17", of: "sdb", 1)
        let usb = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4"
        try write("4C530001", usb + "/serial")
        try write("480", usb + "/speed")
        try write("1", usb + "/busnum")
        return self
    }
}
