// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CUdev
import Glibc

/// udevd, where one runs.
package enum UdevDaemon {
    package static var isRunning: Bool {
        unsafe access("/run/udev/control", F_OK) == 0
    }

    /// Makes udevd look at a disk and its partitions again, and waits until it has: the links in /dev/disk are then
    /// those of the new content.
    ///
    /// udevd drops events that it could not handle while the disk was locked, so they are sent again.
    ///
    /// - Returns: what went wrong.
    static func announce(_ disk: UInt64, timeout: Duration) -> [String] {
        guard isRunning else { return [] }
        let folder = KernelPartitions.folder(of: disk)
        let tree = FileTree()
        let partitions = tree.names(in: folder).filter { tree.exists("\(folder)/\($0)/partition") }
        // An ordinary user may not, and need not: closing the device has made udevd look at the disk.
        for path in [folder] + partitions.map({ "\(folder)/\($0)" }) { trigger(path) }
        return waitUntilQuiet(timeout) ? [] : ["udev has not finished; links in /dev/disk may still be old"]
    }

    private static func trigger(_ path: String) {
        let descriptor = unsafe open(path + "/uevent", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let word = Array("change".utf8)
        _ = unsafe word.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    }

    /// What `udevadm settle` does. See udev_queue_get_queue_is_empty(3).
    private static func waitUntilQuiet(_ timeout: Duration) -> Bool {
        // SAFETY: both handles are checked and released once.
        guard let udev = unsafe udev_new() else { return false }
        defer { unsafe udev_unref(udev) }
        guard let queue = unsafe udev_queue_new(udev) else { return false }
        defer { unsafe udev_queue_unref(queue) }
        let deadline = ContinuousClock.now + timeout
        // udevd needs a moment to hear of the event at all.
        usleep(20_000)
        while unsafe udev_queue_get_queue_is_empty(queue) == 0 {
            guard ContinuousClock.now < deadline else { return false }
            usleep(20_000)
        }
        return true
    }
}
