// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Layers

/// SELinux labels, by whoever can: the guest's own program, the appliance's, or the guest at its first boot.
struct Relabel {
    let guest: GuestfsHandle

    /// - Parameter outcome: of `RelabelSteps.byGuest`.
    /// - Returns: what a person should know; nil when all files have their labels.
    func finish(_ outcome: RelabelSteps.Outcome) throws -> String? {
        guard outcome != .done else { return nil }
        // libguestfs has setfiles(8) where its distribution uses SELinux itself.
        if try guest.has("selinuxrelabel") {
            let contexts = try unsafe guest.string { unsafe guestfs_cat($0, RelabelSteps.contextsFile) }
            var options = guestfs_selinux_relabel_argv()
            options.force = 1
            options.bitmask = 1 << UInt64(GUESTFS_SELINUX_RELABEL_FORCE)
            try unsafe guest.check { unsafe guestfs_selinux_relabel_argv($0, contexts, "/", &options) }
            return nil
        }
        try unsafe guest.check { unsafe guestfs_touch($0, RelabelSteps.atFirstBoot) }
        let reason = outcome == .noProgram ? "has no setfiles" : "has a setfiles that failed (the log says how)"
        return "the guest uses SELinux and \(reason): it labels its files at its first boot, and then starts again"
    }
}
