// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What the running system needs, and what each of it stands on.
package struct SystemUses: Sendable {
    struct Use: Sendable {
        /// "mounted at / (mountinfo 27)", "used as swap".
        let what: String
        let footing: Footing
        var swap: Swap?
    }

    let uses: [Use]
    /// What could not be followed down: it may lie on any disk.
    let unknown: [String]

    init(_ view: SystemView) {
        // Other processes' roots are containers: what they mount is `mounted`, not the system.
        let ours = view.mounts.filter { $0.process == nil || $0.process == 1 }
        var seen: Set<String> = []
        let system = ours.filter { mount in
            if mount.isSystem { return true }
            // What containers lay over each other below /var stands on none but the disks of /var.
            guard mount.isPartOfSystem else { return false }
            switch view.ground(of: mount) {
            case .devices, .zfsPool: return true
            case .folders, .noDisk, .unknown: return false
            }
        }
        var uses = system.filter { seen.insert("\($0.device) \($0.mountPoint)").inserted }.map { mount in
            Use(what: "mounted at \(mount.mountPoint) \(mount.place)", footing: view.footing(of: mount))
        }
        var unknown = uses.flatMap { use in use.footing.unknown.map { "\($0), \(use.what)" } }
        if !ours.contains(where: { $0.mountPoint == "/" }) {
            unknown.append("mountinfo shows no root file system")
        }
        for swap in view.swaps {
            var footing = view.names[swap.path].map { view.footing(of: $0) } ?? view.footing(ofFile: swap.path)
            if !swap.isFile && view.names[swap.path] == nil {
                footing.unknown.append("\(swap.path) is no known device")
            }
            if !swap.isThere {
                footing.unknown.append("the swap file \(swap.path) is deleted, or lies below another mount")
            }
            uses.append(Use(what: "used as swap (\(swap.path))", footing: footing, swap: swap))
            unknown += footing.unknown.map { "\($0), used as swap (\(swap.path))" }
        }
        if let resume = view.resume {
            // A stale resume= on the command line names what is not there: that is no reason to refuse every disk.
            uses.append(Use(what: "set as the device to resume from", footing: view.footing(of: resume)))
        }
        self.uses = uses
        self.unknown = unknown
    }
}

extension Mount {
    /// Whether the machine stops working when the file system at this place is overwritten.
    var isSystem: Bool {
        ["/", "/usr", "/var", "/boot", "/efi"].contains(mountPoint) || mountPoint.hasPrefix("/boot/")
    }

    /// Whether it would miss what it has there, such as its packages' database or everybody's files, though it may go on.
    /// Sticks are mounted elsewhere.
    fileprivate var isPartOfSystem: Bool {
        ["/etc", "/home", "/opt", "/root"].contains(mountPoint)
            || ["/etc/", "/opt/", "/usr/", "/var/"].contains { mountPoint.hasPrefix($0) }
                && !mountPoint.hasPrefix("/var/tmp/")
    }
}
