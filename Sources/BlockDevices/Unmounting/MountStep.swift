// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A mount that is taken away, with all that is needed to bring it back as it was. See mount(2).
package struct MountStep: Codable, Sendable, Equatable {
    /// The kernel's number of the mount, so that no other one at the same place is taken for it.
    let id: Int
    /// What mountinfo says of it, as `st_dev` has it.
    let number: UInt64
    /// `st_dev` of what is mounted; 0 where the file system has numbers of its own.
    let device: UInt64
    /// The mount that it lies on.
    let ground: Ground
    /// What is mounted, so that no other medium is.
    let medium: Medium
    /// Its place in the order in which this namespace got its mounts.
    let position: Int
    /// The node to mount from.
    package let node: String
    package let mountPoint: String
    /// The folder of the file system that is shown.
    let root: String
    let fileSystem: String
    /// Of the mount.
    let flags: [String]
    /// Of the file system.
    let options: [String]
    let propagation: Propagation

    /// The mount below another one. Kernels use numbers again, so that one alone says too little.
    struct Ground: Codable, Sendable, Equatable {
        let id: Int
        /// nil where the mount is not in the namespace that was looked at.
        let number: UInt64?
        let mountPoint: String?
    }

    /// See mount_namespaces(7).
    enum Propagation: String, Codable {
        case shared, unbindable
        case `private`

        init(_ words: [Substring]) {
            self =
                words.lazy.compactMap { word in
                    word.hasPrefix("shared:") ? .shared : word == "unbindable" ? .unbindable : nil
                }.first ?? .private
        }
    }

    init(_ mount: Mount, node: BlockNode, disk: BlockNode, ground: Mount?, position: Int) {
        id = mount.id
        number = mount.device.rawValue
        self.position = position
        self.ground = Ground(id: mount.parent, number: ground?.device.rawValue, mountPoint: ground?.mountPoint)
        medium = Medium(
            start: node.start >> 9,
            disk: disk.number.description,
            diskseq: disk.diskseq,
            size: disk.size
        )
        device = mount.device.isAnonymous ? 0 : mount.device.rawValue
        self.node = node.path
        mountPoint = mount.mountPoint
        root = mount.root
        fileSystem = mount.fileSystem
        flags = mount.flags.map(String.init)
        options = mount.options.map(String.init)
        propagation = Propagation(mount.propagation)
    }

    /// Whether it is made from a device, and not from a folder of another mount.
    var isWhole: Bool { root == "/" || fileSystem == "btrfs" }

    /// Whether a mount is this very one.
    func isSame(_ mount: Mount) -> Bool {
        mount.id == id && mount.device.rawValue == number && mount.root == root && mount.fileSystem == fileSystem
            && mount.mountPoint == mountPoint
    }
}

extension Subject {
    /// What `--unmount` takes away, the deepest mount first.
    package var unmounting: [MountStep] {
        let own = ownMounts
        let depth = { (mount: Mount) -> Int in
            var seen = Set([mount.id])
            var upper = mount
            while let next = view.mount(numbered: upper.parent), seen.insert(next.id).inserted { upper = next }
            return seen.count
        }
        return own.enumerated().sorted { one, other in
            let depths = (depth(one.element), depth(other.element))
            return depths.0 == depths.1 ? one.offset > other.offset : depths.0 > depths.1
        }
        .map(\.element).compactMap { mount in
            guard case .devices(let devices) = view.ground(of: mount),
                let node = devices.compactMap({ view.nodes[$0] }).min(by: { $0.path < $1.path })
            else { return nil }
            return MountStep(
                mount,
                node: node,
                disk: node.parent.flatMap { view.nodes[$0] } ?? node,
                ground: view.mount(numbered: mount.parent),
                position: view.mounts.firstIndex { $0.id == mount.id } ?? 0
            )
        }
    }

    /// Mounts that go away by `--unmount`: ours, and the copies that other namespaces have of them.
    var unmountable: Set<Int> {
        let own = ownMounts
        let groups = Set(own.compactMap { view.mount(numbered: $0.parent)?.group(.shared) })
        let copies = view.mounts.filter { copy in
            guard copy.process != nil, own.contains(where: { $0.device == copy.device }),
                let parent = view.mount(numbered: copy.parent)
            else { return false }
            // What is unmounted here is unmounted where the place above it takes part in what happens here.
            return [parent.group(.shared), parent.group(.master)].contains { $0.map(groups.contains) ?? false }
        }
        return Set((own + copies).map(\.id))
    }

    /// Mounts of this namespace that show this disk and nothing else, and that can be made again as they were.
    private var ownMounts: [Mount] {
        let own = overwritten
        let candidates = view.mounts.filter { mount in
            guard mount.process == nil, case .devices(let devices) = view.ground(of: mount) else { return false }
            return devices.isSubset(of: own) && mount.canReturn && !devices.contains(where: view.goesAway)
        }
        return candidates.filter { mount in
            // A folder of it alone can be shown again only from where all of it is shown.
            mount.root == "/" || mount.fileSystem == "btrfs"
                || candidates.contains { $0.device == mount.device && $0.root == "/" }
        }
    }
}

extension Mount {
    /// Whether mount(2) can make it again as it was, as far as the mount itself tells.
    fileprivate var canReturn: Bool {
        // What is behind these is a program, which ends with the mount.
        if fileSystem.hasPrefix("fuse") { return false }
        // The users that are mapped are told nowhere; a folder that was deleted has no name.
        if flags.contains("idmapped") || root.hasSuffix("//deleted") { return false }
        // Only whole subvolumes can be named to a mount.
        return fileSystem != "btrfs" || (option("subvol") ?? "/") == root
    }
}

extension SystemView {
    /// Whether a device, or the disk that it is a part of, is a loop device that is detached with its last user.
    func goesAway(_ number: DeviceNumber) -> Bool {
        guard let node = nodes[number] else { return false }
        return (node.parent.flatMap { nodes[$0] } ?? node).loop?.isDetachedByItself ?? false
    }

    func mount(numbered id: Int) -> Mount? {
        mounts.first { $0.id == id }
    }
}

extension Mount {
    enum Group: String {
        case shared, master
    }

    /// The peer group that it belongs to, or that it gets its mounts from. See mount_namespaces(7).
    func group(_ kind: Group) -> Int? {
        propagation.first { $0.hasPrefix(kind.rawValue + ":") }.flatMap { Int($0.dropFirst(kind.rawValue.count + 1)) }
    }
}
