// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What a use of storage stands on, from the top down: a mount on dm on a partition on a disk, a loop device on a file
/// on another file system, and so on.
struct Footing: Equatable {
    /// Every device below, with the way to it: the topmost device first, itself last.
    var devices: [DeviceNumber: [DeviceNumber]] = [:]
    /// ZFS does not tell its members through sysfs; disks are recognised by the pool name that they carry.
    var zfsPools: Set<String> = []
    /// What could not be followed, as sentences without a full stop.
    var unknown: [String] = []
}

extension SystemView {
    /// What a mount lies on directly.
    enum Ground: Equatable {
        case devices(Set<DeviceNumber>)
        case zfsPool(String)
        /// Other folders, as overlay does.
        case folders([String])
        /// Memory or the network.
        case noDisk
        case unknown(String)
    }

    func ground(of mount: Mount) -> Ground {
        if !mount.device.isAnonymous { return .devices([mount.device]) }
        if let folders = mount.folders { return .folders(folders) }
        if mount.fileSystem == "zfs" {
            return .zfsPool(mount.source.split(separator: "/").first.map(String.init) ?? mount.source)
        }
        if Mount.fileSystemsWithoutDisk.contains(mount.fileSystem) { return .noDisk }
        // btrfs, and whatever else numbers its mounts so; bcachefs names all its members.
        let sources = mount.source.split(separator: ":").map(String.init)
        let members = sources.compactMap { names[$0] }
        guard !members.isEmpty, members.count == sources.count else {
            return .unknown("\(mount.mountPoint) is \(mount.fileSystem) on '\(mount.source)', which is no known device")
        }
        return .devices(
            members.reduce(into: Set(members)) { all, member in
                for group in btrfs where group.contains(member) { all.formUnion(group) }
            }
        )
    }

    func footing(of mount: Mount) -> Footing {
        var walk = Descent(view: self)
        walk.visit(mount, way: [])
        return walk.footing
    }

    func footing(of device: DeviceNumber) -> Footing {
        var walk = Descent(view: self)
        walk.visit(device, way: [])
        return walk.footing
    }

    /// What the file system lies on that holds `path` now.
    func footing(ofFile path: String) -> Footing {
        var walk = Descent(view: self)
        walk.visit(path)
        return walk.footing
    }

    /// The mounts that an overlay's folder may lie on. Its path was followed when the overlay was mounted: what came
    /// later lies on top. A copy of a namespace lists its mounts anew, so every copy of the overlay is asked.
    ///
    /// - Returns: nil when it cannot be told.
    fileprivate func mounts(below overlay: Mount, holding path: String) -> [Mount]? {
        // In a container the folders below its root belong to the host, and no mount is seen that holds them.
        guard path.hasPrefix("/"), overlay.process != nil || !unseenFolders.contains(path) else { return nil }
        let copies = mounts.filter { $0.device == overlay.device && $0.fileSystem == overlay.fileSystem }
        for copy in [overlay] + copies {
            let own = mounts.filter { $0.process == copy.process && ($0.id == copy.id || $0.covers(path)) }
            let earlier = own.prefix { $0.id != copy.id }
            let later = Set(own.dropFirst(earlier.count + 1).map(\.id))
            // Who covers the path today may have done so before, where the list is not in the order of time.
            let isCovered = mount(holding: path, process: copy.process).map { later.contains($0.id) } ?? false
            if !earlier.isEmpty, !isCovered { return Array(earlier) }
        }
        return nil
    }
}

/// A walk down, breadth left to recursion: stacks are a handful of layers deep. Whatever was visited once is not
/// visited again, so that loops in the data end it.
private struct Descent {
    let view: SystemView
    var footing = Footing()
    var mounts: Set<Int> = []

    mutating func visit(_ mount: Mount, way: [DeviceNumber]) {
        guard mounts.insert(mount.id).inserted else { return }
        switch view.ground(of: mount) {
        case .devices(let devices):
            for device in devices.sorted(by: { ($0.major, $0.minor) < ($1.major, $1.minor) }) {
                visit(device, way: way)
            }
        case .zfsPool(let pool): footing.zfsPools.insert(pool)
        case .folders(let folders):
            for folder in folders {
                guard let below = view.mounts(below: mount, holding: folder) else {
                    footing.unknown.append("no mount is seen that holds \(folder)")
                    continue
                }
                for mount in below { visit(mount, way: way) }
            }
        case .noDisk: break
        case .unknown(let why): footing.unknown.append(why)
        }
    }

    /// What a path lies on now.
    mutating func visit(_ path: String, way: [DeviceNumber] = []) {
        guard path.hasPrefix("/"), let mount = view.mount(holding: path, process: nil) else {
            footing.unknown.append("no mount is seen that holds \(path)")
            return
        }
        visit(mount, way: way)
    }

    mutating func visit(_ device: DeviceNumber, way: [DeviceNumber]) {
        guard footing.devices[device] == nil else { return }
        let way = way + [device]
        footing.devices[device] = way
        guard let node = view.nodes[device] else {
            footing.unknown.append("the device \(device) is not in sysfs")
            return
        }
        for lower in node.slaves + [node.parent].compactMap({ $0 }) { visit(lower, way: way) }
        guard let loop = node.loop else { return }
        if let lower = view.device(below: node) {
            visit(lower, way: way)
        } else if let fileSystem = loop.fileSystem, !fileSystem.isAnonymous {
            visit(fileSystem, way: way)
        } else if let path = loop.path, path.hasPrefix("/"), !loop.isDeleted, loop.isAtPath != false {
            // Unless it is known to be the file that is seen there, it may lie below whatever was mounted since.
            let mounts =
                loop.isAtPath == true
                ? [view.mount(holding: path, process: nil)].compactMap { $0 }
                : view.mounts.filter { $0.process == nil && $0.covers(path) }
            if mounts.isEmpty { footing.unknown.append("no mount is seen that holds \(path)") }
            for mount in mounts { visit(mount, way: way) }
        } else {
            footing.unknown.append("\(node.path) stands on a file that cannot be found")
        }
    }
}

extension Mount {
    /// File systems in memory, of the kernel, on flash without a block layer, or on the network.
    static let fileSystemsWithoutDisk: Set<String> = [
        "rootfs", "tmpfs", "ramfs", "devtmpfs", "proc", "sysfs", "autofs", "efivarfs", "9p", "virtiofs", "nfs", "nfs4",
        "cifs", "smb3", "ceph", "afs", "ubifs", "jffs2",
    ]

    /// The folders that this file system shows in another shape, nil when it has its own storage.
    fileprivate var folders: [String]? {
        switch fileSystem {
        case "overlay", "overlayfs":
            return lowerFolders + ["upperdir", "workdir"].compactMap(option)
        case "ecryptfs": return [source]
        default: return nil
        }
    }

    /// The folders that an overlay shows and does not write to.
    var lowerFolders: [String] {
        options.filter { ["lowerdir", "lowerdir+", "datadir+"].contains(String($0.prefix { $0 != "=" })) }
            .flatMap { Self.splitAtColons(OctalEscapes.decode($0.drop { $0 != "=" }.dropFirst())) }
    }

    /// overlay escapes a colon that belongs to a name.
    private static func splitAtColons(_ text: String) -> [String] {
        var parts = [""]
        var isEscaped = false
        for character in text {
            if isEscaped || (character != "\\" && character != ":") {
                parts[parts.count - 1].append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else {
                parts.append("")
            }
        }
        return parts.filter { !$0.isEmpty }
    }
}
