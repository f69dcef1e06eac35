// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// What a disk's request queue takes, as the kernel says it: see Documentation/ABI/stable/sysfs-block.
package struct RequestQueue: Sendable, Equatable {
    /// The largest request, in bytes.
    package let maximumRequest: Int
    /// How many requests wait in the queue at most.
    package let depth: Int

    package init(maximumRequest: Int, depth: Int) {
        self.maximumRequest = maximumRequest
        self.depth = depth
    }

    /// Whether a USB stick takes one command at a time, as the bulk-only protocol has it: more in flight only makes it
    /// harder to stop, and some readers stall. UAS is another driver, and likes depth.
    package static func servesOneAtATime(_ device: UInt64) -> Bool {
        let tree = FileTree()
        let parts = tree.resolved("/sys/dev/block/\(DeviceNumber(device))").split(separator: "/")
        guard let host = parts.first(where: { $0.hasPrefix("host") && $0.dropFirst(4).allSatisfy(\.isNumber) }) else {
            return false
        }
        return tree.text("/sys/class/scsi_host/\(host)/proc_name") == "usb-storage"
    }

    /// - Parameter device: `st_rdev` of the disk. What sysfs does not tell is taken to be small.
    package init(of device: UInt64) {
        let tree = FileTree()
        let folder = "/sys/dev/block/\(DeviceNumber(device))/queue"
        func number(_ name: String) -> Int? { tree.number("\(folder)/\(name)").map { Int($0) } }
        self.init(maximumRequest: (number("max_sectors_kb") ?? 128) << 10, depth: number("nr_requests") ?? 2)
    }

    /// Whether what is written to an open disk lies in memory until it is flushed, however much it is: a loop device
    /// over a file without direct I/O.
    package static func isCached(of descriptor: Int32) -> Bool {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return false }
        return FileTree().text("/sys/dev/block/\(DeviceNumber(UInt64(status.st_rdev)))/loop/dio") == "0"
    }
}
