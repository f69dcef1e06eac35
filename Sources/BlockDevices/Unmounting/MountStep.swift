// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A mount that is taken away, with all that is needed to bring it back as it was. See mount(2).
package struct MountStep: Codable, Sendable, Equatable {
    /// The kernel's number of the mount, so that no other one at the same place is taken for it.
    let id: Int
    /// `st_dev` of what is mounted; 0 where the file system has numbers of its own.
    let device: UInt64
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
    let isShared: Bool

    init(_ mount: Mount, node: String) {
        id = mount.id
        device = mount.device.isAnonymous ? 0 : mount.device.rawValue
        self.node = node
        mountPoint = mount.mountPoint
        root = mount.root
        fileSystem = mount.fileSystem
        flags = mount.flags.map(String.init)
        options = mount.options.map(String.init)
        isShared = mount.propagation.contains { $0.hasPrefix("shared:") }
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
            guard case .devices(let devices) = view.ground(of: mount) else { return nil }
            let nodes = devices.compactMap { view.nodes[$0]?.path }.sorted()
            return nodes.first.map { MountStep(mount, node: $0) }
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
            return devices.isSubset(of: own)
        }
        return candidates.filter { mount in
            // A folder of it alone can be shown again only from where all of it is shown.
            mount.root == "/" || mount.fileSystem == "btrfs"
                || candidates.contains { $0.device == mount.device && $0.root == "/" }
        }
    }
}

extension SystemView {
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
