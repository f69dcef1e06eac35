// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// Whether a disk's word for its own size is taken on trust.
package enum ClaimedSize {
    /// Sticks, cards and other media that are bought loose are forged to claim more than they hold; a loop device has
    /// the size of whatever lies below it. Disks that are built in tell the truth.
    package static func isDoubtful(of identity: DeviceIdentity) -> Bool {
        let tree = FileTree()
        let path = tree.resolved("/sys/dev/block/\(DeviceNumber(identity.deviceNumber))")
        let name = path.split(separator: "/").last ?? ""
        return path.contains("/usb") || name.hasPrefix("mmcblk") || name.hasPrefix("loop")
            || tree.flag(path + "/removable")
    }
}
