// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux

/// A device number as sysfs and mountinfo write it, `major:minor`. See makedev(3).
package struct DeviceNumber: Hashable, Sendable {
    package let major: UInt32
    package let minor: UInt32

    package init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// From `st_rdev` or `st_dev`.
    package init(_ number: UInt64) {
        self.init(major: flashlayer_major(number), minor: flashlayer_minor(number))
    }

    /// Reads `8:1`.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else { return nil }
        self.init(major: major, minor: minor)
    }

    /// As `st_rdev` holds it.
    package var rawValue: UInt64 { flashlayer_makedev(major, minor) }

    /// Whether no device stands behind it: the kernel numbers tmpfs, btrfs, overlay and network mounts so.
    package var isAnonymous: Bool { major == 0 }
}

extension DeviceNumber: CustomStringConvertible {
    package var description: String { "\(major):\(minor)" }
}
