// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// Who else has a device open exclusively. See O_EXCL in open(2), which for block devices excludes mounts, swap,
/// device-mapper, md and each other, in all namespaces.
package enum ExclusiveAccess: String, Sendable, Codable {
    case free
    /// Another program holds the lock that partitioning tools and we agree on: it will be done some day.
    case locked
    case inUse
    /// It could not be tried; whoever opens it for writing will know.
    case unknown

    init(of path: String) {
        let descriptor = unsafe open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC)
        if descriptor >= 0 {
            close(descriptor)
            self = .free
        } else if errno == EBUSY {
            self = Self.isLocked(path) ? .locked : .inUse
        } else {
            self = .unknown
        }
    }

    /// Whether somebody has an exclusive flock(2) on the node. udev's own lock while it probes is shared.
    static func isLocked(_ path: String) -> Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }
}
