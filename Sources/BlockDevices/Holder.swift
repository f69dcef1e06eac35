// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What is built on a disk or on a partition of it, with what is built on that and where it is mounted.
package struct Holder: Sendable, Equatable, Encodable {
    /// nil for a btrfs of several devices and for a ZFS pool: those have no device of their own.
    package let path: String?
    /// What device-mapper calls it, `vg-root`; of ZFS, the pool.
    package let name: String?
    /// `dm`, `md`, `loop` and so on, as `transport` says it of disks; `btrfs`, `zfs`.
    package let kind: String
    package let mountPoints: [String]
    package let holders: [Holder]

    private enum Key: String, CodingKey {
        case path, name, kind, mountPoints, holders
    }

    /// Every key is always there.
    package func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(path, forKey: .path)
        try object.encode(name, forKey: .name)
        try object.encode(kind, forKey: .kind)
        try object.encode(mountPoints, forKey: .mountPoints)
        try object.encode(holders, forKey: .holders)
    }
}

extension SystemView {
    /// What is built on any of some devices.
    ///
    /// - Parameters:
    ///   - pools: the ZFS pools that they are members of, which the kernel does not tell.
    ///   - kinds: how each device is attached.
    func holders(
        of devices: [DeviceNumber],
        pools: Set<String>,
        kinds: (DeviceNumber) -> String,
        passed: Set<DeviceNumber> = []
    ) -> [Holder] {
        let loops = nodes.values.filter { loop in device(below: loop).map(devices.contains) ?? false }
        let held = devices.compactMap { nodes[$0] }.flatMap(\.holders).compactMap { nodes[$0] }
        var seen = passed.union(devices)
        let built = (held + loops.sorted { $0.number.rawValue < $1.number.rawValue })
            .filter { seen.insert($0.number).inserted }.map { node in
                let own = [node.number] + partitions(of: node.number).map(\.number)
                return Holder(
                    path: node.path,
                    name: node.mapperName,
                    kind: kinds(node.number),
                    mountPoints: mountPoints(ofAny: Set(own)),
                    holders: holders(of: own, pools: knownPools(of: own), kinds: kinds, passed: seen)
                )
            }
        let several = btrfs.filter { $0.count > 1 && !$0.isDisjoint(with: devices) }.map { group in
            Holder(path: nil, name: nil, kind: "btrfs", mountPoints: mountPoints(ofAny: group), holders: [])
        }
        let zfs = pools.sorted().map { pool in
            let places = mounts.filter { ground(of: $0) == .zfsPool(pool) }.map(\.mountPoint)
            return Holder(path: nil, name: pool, kind: "zfs", mountPoints: Set(places).sorted(), holders: [])
        }
        return built + several + zfs
    }

    /// Where file systems are mounted that lie on any of some devices, wholly or in part; sorted.
    func mountPoints(ofAny devices: Set<DeviceNumber>) -> [String] {
        let places = mounts.filter { mount in
            if case .devices(let grounds) = ground(of: mount) { !grounds.isDisjoint(with: devices) } else { false }
        }
        return Set(places.map(\.mountPoint)).sorted()
    }

    /// What udevd found on devices in between, which nobody reads here.
    private func knownPools(of devices: [DeviceNumber]) -> Set<String> {
        let contents = devices.compactMap { nodes[$0] }.compactMap { DiskContent(udev: $0.properties, partitions: []) }
        return contents.reduce(into: []) { $0.formUnion($1.zfsPools) }
    }
}

extension DiskContent {
    /// The pools of which members lie here.
    var zfsPools: Set<String> {
        Set(superblocks.map(\.superblock).filter { $0.type == "zfs_member" }.compactMap(\.label))
    }
}
