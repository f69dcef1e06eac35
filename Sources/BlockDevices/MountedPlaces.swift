// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

extension Disk {
    /// Where anything of it is mounted in our own mount namespace, each place once, in the order in which they were
    /// mounted.
    package var mountPoints: [String] {
        let own = subject.overwritten
        var seen: Set<String> = []
        return subject.view.mounts.filter { mount in
            guard mount.process == nil, case .devices(let devices) = subject.view.ground(of: mount) else {
                return false
            }
            return !devices.isDisjoint(with: own)
        }
        .map(\.mountPoint).filter { seen.insert($0).inserted }
    }
}
