// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
package import Model

/// The note that a medium was written by us, for `udev-rules/85-flashlayer.rules`: automounters are to keep away from it
/// until it is pulled and plugged in again. It is a file that bears the kernel's sequence number of the medium, which no
/// other medium gets until the machine is started again, and then /run is empty.
package enum WrittenMark {
    package static let folder = "/run/flashlayer/written"

    /// Leaves the mark, before the first byte is written: udev looks at the disk as soon as it is closed.
    ///
    /// What cannot be marked is written all the same: before Linux 5.15 media have no number, and an ordinary user may
    /// not write to /run unless systemd/flashlayer.conf was installed.
    package static func leave(on identity: DeviceIdentity) {
        guard let sequence = identity.diskSequence else { return }
        for folder in ["/run/flashlayer", folder] { _ = unsafe mkdir(folder, 0o755) }
        let file = unsafe open("\(folder)/\(sequence)", O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode_t(0o644))
        if file >= 0 { close(file) }
        clear()
    }

    /// Marks of media that are gone are of no use: a number never comes again.
    private static func clear() {
        let tree = FileTree()
        let present = Set(tree.names(in: "/sys/block").compactMap { tree.text("/sys/block/\($0)/diskseq") })
        for name in tree.names(in: folder) where !present.contains(name) && UInt64(name) != nil {
            unsafe unlink("\(folder)/\(name)")
        }
    }
}
