// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A device that is built on a disk or on a partition of it, with what is built on that and where it is mounted.
package struct Holder: Sendable, Equatable, Encodable {
    package let path: String
    /// What device-mapper calls it, `vg-root`.
    package let name: String?
    /// `dm`, `md`, `loop` and so on, as `transport` says it of disks.
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
    /// - Parameter kinds: how each device is attached.
    func holders(of devices: [DeviceNumber], kinds: (DeviceNumber) -> String, passed: Set<DeviceNumber> = [])
        -> [Holder]
    {
        let loops = disks.filter { loop in device(below: loop).map(devices.contains) ?? false }.map(\.number)
        let held = devices.compactMap { nodes[$0] }.flatMap(\.holders)
        var seen = passed.union(devices)
        return (held + loops).filter { seen.insert($0).inserted }.compactMap { nodes[$0] }.map { node in
            let own = [node.number] + partitions(of: node.number).map(\.number)
            let places = mounts.filter { mount in
                if case .devices(let grounds) = ground(of: mount) { !grounds.isDisjoint(with: own) } else { false }
            }
            return Holder(
                path: node.path,
                name: node.mapperName,
                kind: kinds(node.number),
                mountPoints: Set(places.map(\.mountPoint)).sorted(),
                holders: holders(of: own, kinds: kinds, passed: seen)
            )
        }
    }
}
