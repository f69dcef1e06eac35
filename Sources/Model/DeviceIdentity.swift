// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What makes one medium in one drive this one and no other. It is taken when a device is chosen, and compared again
/// after the device is claimed, before the first write and before the read-back.
package struct DeviceIdentity: Codable, Hashable, Sendable {
    /// The device node, links resolved.
    package let path: String
    /// `st_rdev`.
    package let deviceNumber: UInt64
    /// The kernel's sequence number of the medium; nil before Linux 5.15.
    package let diskSequence: UInt64?
    /// Bytes.
    package let size: UInt64
    package let serial: String?

    package init(path: String, deviceNumber: UInt64, diskSequence: UInt64?, size: UInt64, serial: String?) {
        self.path = path
        self.deviceNumber = deviceNumber
        self.diskSequence = diskSequence
        self.size = size
        self.serial = serial
    }
}
