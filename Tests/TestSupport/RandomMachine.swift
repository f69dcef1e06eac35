// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices

/// A machine of random storage, built step by step in the order of time, and what is true of it: which thing really
/// lies on which. The paths that a kernel would show are rendered into a `FakeMachine`; the truth never is a path.
package struct RandomMachine {
    /// A file system: on devices, in memory, made of other file systems, or of a kind that nobody has heard of.
    package struct FileSystem {
        package enum Kind {
            case plain, btrfs, zfs, memory, overlay, unheardOf
        }

        package let kind: Kind
        /// As mountinfo has it.
        package let number: String
        package let source: String
        package var type: String
        package var devices: [String] = []
        /// Of an overlay: for each layer its path, and what really lies there; nil when nobody can see it.
        package var layers: [(path: String, below: Int?)] = []
    }

    package struct Mount {
        package let fileSystem: Int
        package let point: String
        /// nil: ours.
        package let process: Int?
    }

    package struct SwapFile {
        package let path: String
        package let fileSystem: Int
        package var isSeen = true
    }

    package struct Loop {
        package let name: String
        /// What it is over: a device, or a file in a file system.
        package var device: String?
        package var fileSystem: Int?
        package var path = ""
        /// The driver tells the file system's number, where it has one.
        package var isKnown = false
        package var isDeleted = false
    }

    /// Whole physical disks, and their partitions.
    package private(set) var disks: [String: [String]] = [:]
    /// md, dm and LVM: what each is built on.
    package private(set) var stacks: [String: [String]] = [:]
    package private(set) var loops: [Loop] = []
    package private(set) var fileSystems: [FileSystem] = []
    /// In the order of time.
    package private(set) var mounts: [Mount] = []
    package private(set) var swapDevices: [String] = []
    package private(set) var swapFiles: [SwapFile] = []
    package private(set) var hasLostSwap = false
    package private(set) var unreadable: Set<String> = []
    package let machine: FakeMachine

    private var random: SplitMix
    /// Devices that nothing uses yet.
    private var free: [String] = []
    private var numbers: [String: String] = [:]
    private var nextAnonymous = 40

    package init(seed: UInt64) throws {
        random = SplitMix(seed: seed)
        machine = try FakeMachine()
        try makeDisks()
        for _ in 0..<pick([0, 0, 1, 2, 3]) { try makeStack() }
        try makeRoot()
        for _ in 0..<pick(Array(2...8)) { try makeSomething() }
        try finish()
    }

    // MARK: - Choices

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int(random.next() % UInt64(elements.count))]
    }

    private mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }

    private mutating func takeFree() -> String? {
        guard !free.isEmpty else { return nil }
        return free.remove(at: Int(random.next() % UInt64(free.count)))
    }

    // MARK: - Devices

    private mutating func makeDisks() throws {
        for index in 0..<pick(Array(1...4)) {
            let name = "sd" + ["a", "b", "c", "d"][index]
            numbers[name] = "8:\(16 * index)"
            // A disk that cannot be read may hold anything.
            if chance(5) { unreadable.insert(name) }
            let content: DiskContent? = unreadable.contains(name) ? nil : DiskContent()
            try machine.disk(name, "8:\(16 * index)", pick([.usb, .sata]), content: content)
            var parts: [String] = []
            for part in 0..<pick([0, 1, 2, 3]) {
                let partition = "\(name)\(part + 1)"
                numbers[partition] = "8:\(16 * index + part + 1)"
                try machine.partition(partition, "8:\(16 * index + part + 1)", of: name, part + 1)
                parts.append(partition)
            }
            disks[name] = parts
            free += parts.isEmpty ? [name] : parts
        }
    }

    private mutating func makeStack() throws {
        guard let first = takeFree() else { return }
        let second = chance(40) ? takeFree() : nil
        let lower = [first] + (second.map { [$0] } ?? [])
        let index = stacks.count
        let name = chance(50) ? "dm-\(index)" : "md\(index)"
        numbers[name] = "\(name.hasPrefix("dm") ? 252 : 9):\(index)"
        try machine.stack(name, numbers[name] ?? "", on: lower, mapper: name.hasPrefix("dm") ? "vg-\(index)" : nil)
        stacks[name] = lower
        free.append(name)
        // Logical volumes share their group.
        if name.hasPrefix("dm"), chance(30) {
            let other = "dm-\(index + 20)"
            numbers[other] = "252:\(index + 20)"
            try machine.stack(other, "252:\(index + 20)", on: lower, mapper: "vg-\(index + 20)")
            stacks[other] = lower
            free.append(other)
        }
    }

    // MARK: - File systems

    private mutating func add(_ fileSystem: FileSystem) -> Int {
        fileSystems.append(fileSystem)
        return fileSystems.count - 1
    }

    private mutating func anonymous() -> String {
        nextAnonymous += 1
        return "0:\(nextAnonymous)"
    }

    private mutating func makeMemory() -> Int {
        add(FileSystem(kind: .memory, number: anonymous(), source: "tmpfs", type: "tmpfs"))
    }

    private mutating func makeOnDevices() throws -> Int? {
        guard let device = takeFree() else { return nil }
        let kind = random.next() % 10
        if kind < 2 {
            var members = [device]
            if chance(60), let other = takeFree() { members.append(other) }
            let name = "btrfs-\(fileSystems.count)"
            for member in members { try machine.write("", "/sys/fs/btrfs/\(name)/devices/\(member)") }
            return add(
                FileSystem(
                    kind: .btrfs,
                    number: anonymous(),
                    source: "/dev/" + pick(members),
                    type: "btrfs",
                    devices: members
                )
            )
        }
        if kind == 2, let disk = disks.first(where: { $0.key == device || $0.value.contains(device) })?.key,
            !unreadable.contains(disk)
        {
            let pool = "pool\(fileSystems.count)"
            label(device, of: disk, .init(type: "zfs_member", label: pool))
            return add(
                FileSystem(kind: .zfs, number: anonymous(), source: pool + "/root", type: "zfs", devices: [device])
            )
        }
        let source = stacks[device] != nil && device.hasPrefix("dm") ? "/dev/" + device : "/dev/" + device
        return add(
            FileSystem(
                kind: .plain,
                number: numbers[device] ?? "",
                source: source,
                type: "ext4",
                devices: [device]
            )
        )
    }

    private var labels: [String: DiskContent] = [:]

    private mutating func label(_ device: String, of disk: String, _ superblock: DiskContent.Superblock) {
        var content = labels[disk] ?? DiskContent()
        if device == disk {
            content.superblock = superblock
        } else {
            let number = Int(device.dropFirst(disk.count)) ?? 1
            content.table = "gpt"
            content.entries.append(
                .init(number: number, offset: UInt64(number) << 20, size: 1 << 30, superblock: superblock)
            )
        }
        labels[disk] = content
        machine.content(disk, content)
    }

    /// What a path of ours leads to: whatever was mounted last on the way to it. The root lies below all that, also where
    /// it came later and what was there was moved onto it.
    private func holder(of path: String) -> Int? {
        let own = mounts.filter { $0.process == nil && Self.covers($0.point, path) }
        return (own.last { $0.point != "/" } ?? own.first)?.fileSystem
    }

    package static func covers(_ point: String, _ path: String) -> Bool {
        point == "/" || path == point || path.hasPrefix(point + "/")
    }

    private mutating func mount(_ fileSystem: Int, _ point: String, process: Int? = nil) {
        let what = fileSystems[fileSystem]
        var options = "rw"
        if what.kind == .overlay { options = "rw,lowerdir=" + what.layers.map(\.path).joined(separator: ":") }
        machine.mount(what.number, point, what.type, what.source, options: options, process: process)
        mounts.append(Mount(fileSystem: fileSystem, point: point, process: process))
    }

    private mutating func makeOverlay(of paths: [String], seen: Bool = true) -> Int {
        var overlay = FileSystem(kind: .overlay, number: anonymous(), source: "overlay", type: "overlay")
        overlay.layers = paths.map { ($0, seen && $0.hasPrefix("/") ? holder(of: $0) : nil) }
        return add(overlay)
    }

    private mutating func makeRoot() throws {
        switch random.next() % 20 {
        case 0: return
        case 1:
            mount(add(FileSystem(kind: .unheardOf, number: anonymous(), source: "pool", type: "futurefs")), "/")
        case 2:
            // A container: what it shows is the host's.
            mount(makeOverlay(of: ["/var/lib/l/A", "/var/lib/l/B"], seen: false), "/")
        case 3, 4:
            mount(makeMemory(), "/")
        case 5, 6:
            // A live system: its layers were there first, and the first root is gone.
            guard let below = try makeOnDevices() else { return mount(makeMemory(), "/") }
            mount(below, "/run/live")
            mount(makeOverlay(of: ["/run/live/a", "/run/live/b"]), "/")
        default:
            mount(try makeOnDevices() ?? makeMemory(), "/")
        }
    }

    private static let points = [
        "/usr", "/var", "/boot", "/boot/efi", "/home", "/srv", "/srv/a", "/mnt", "/var/lib", "/efi",
    ]
    private static let files = ["/srv/x", "/srv/a/x", "/var/lib/x", "/home/x", "/mnt/x", "/root/x", "/run/live/x"]

    private mutating func makeSomething() throws {
        switch random.next() % 12 {
        case 0, 1, 2:
            if let fileSystem = try makeOnDevices() { mount(fileSystem, pick(Self.points)) }
        case 3: mount(makeMemory(), pick(Self.points + ["/run/live"]))
        case 4:
            if chance(10) {
                mount(makeOverlay(of: ["l/A", "l/B"], seen: false), pick(Self.points))
            } else {
                mount(makeOverlay(of: [pick(Self.files), pick(Self.files)]), pick(Self.points))
            }
        case 5, 6: try makeLoop()
        case 7:
            if let device = takeFree() {
                swapDevices.append(device)
                try machine.swap("/dev/" + device)
            }
        case 8:
            let path = pick(Self.files) + ".swap"
            guard let holder = holder(of: path), fileSystems[holder].kind == .plain else { return }
            swapFiles.append(SwapFile(path: path, fileSystem: holder))
        case 9:
            // The same again at another place, as a bind mount, or in a container.
            guard let fileSystem = mounts.last?.fileSystem else { return }
            if chance(50) { mount(fileSystem, pick(Self.points)) } else { mount(fileSystem, "/data", process: 4711) }
        case 10:
            guard chance(20) else { return }
            hasLostSwap = true
            try machine.swap("/dev/mapper/gone")
        default:
            if let fileSystem = try makeOnDevices() { mount(fileSystem, "/data", process: 4711) }
        }
    }

    private mutating func makeLoop() throws {
        let name = "loop\(loops.count)"
        numbers[name] = "7:\(loops.count)"
        var loop = Loop(name: name)
        if chance(40) {
            let under = pick(disks.keys.sorted() + disks.values.flatMap { $0 }.sorted() + loops.map(\.name))
            loop.device = under
            loop.path = "/dev/" + under
            try machine.loop(name, numbers[name] ?? "", over: loop.path)
        } else {
            loop.path = pick(Self.files) + ".img"
            guard let holder = holder(of: loop.path) else { return }
            loop.fileSystem = holder
            loop.isDeleted = chance(10)
            try machine.loop(name, numbers[name] ?? "", over: loop.path + (loop.isDeleted ? " (deleted)" : ""))
            loop.isKnown = chance(50) && fileSystems[holder].kind == .plain
            if loop.isKnown, let number = DeviceNumber(fileSystems[holder].number) {
                machine.status(name, .backed(fileSystem: number.rawValue, inode: 5, device: 0))
            }
        }
        loops.append(loop)
        // Files are attached to be mounted, mostly.
        guard loop.device == nil, chance(70) else { return }
        let inside = FileSystem(
            kind: .plain,
            number: numbers[name] ?? "",
            source: "/dev/" + name,
            type: "squashfs",
            devices: [name]
        )
        mount(add(inside), pick(Self.points))
    }

    private mutating func finish() throws {
        for index in swapFiles.indices {
            let file = swapFiles[index]
            swapFiles[index].isSeen = holder(of: file.path) == file.fileSystem
            try machine.swap(file.path, type: "file", isSeen: swapFiles[index].isSeen)
        }
    }
}
