// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// What a build leaves belongs to the person who called sudo.
package enum OutputOwner {
    /// A failure changes nothing about the content, so it is none.
    package static func adopt(_ path: String) {
        guard getuid() == 0, let user = id("SUDO_UID"), let group = id("SUDO_GID") else { return }
        _ = unsafe lchown(path, user, group)
    }

    private static func id(_ name: String) -> UInt32? {
        // SAFETY: nothing in this process changes the environment; the string is copied at once.
        unsafe getenv(name).flatMap { UInt32(unsafe String(cString: $0)) }
    }
}
