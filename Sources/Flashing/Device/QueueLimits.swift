// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model

/// What may be asked of a device at once; all in bytes.
struct QueueLimits: Sendable {
    var requestSize: Int
    var bytesInFlight: Int
    /// Without any completion for so long, the device counts as hung.
    var timeout: Duration

    /// Never more than half of what the device's own queue takes: a process with more in flight than that cannot even
    /// be killed when the device hangs.
    ///
    /// - Parameters:
    ///   - device: `st_rdev` of the disk.
    ///   - timeout: seconds.
    ///   - targets: how many share our memory.
    init(device: UInt64, timeout: Int, targets: Int) {
        self.init(RequestQueue(of: device), timeout: timeout, targets: targets)
        if RequestQueue.servesOneAtATime(device) { bytesInFlight = min(bytesInFlight, 2 * requestSize) }
    }

    init(_ queue: RequestQueue, timeout: Int, targets: Int = 1) {
        let largest = min(1 << 20, max(64 << 10, queue.maximumRequest))
        // A power of two: chunks are cut into equal parts.
        requestSize = 1 << (Int.bitWidth - 1 - largest.leadingZeroBitCount)
        let share = max(1 << 20, (16 << 20) / max(1, targets))
        bytesInFlight = min(8 << 20, share, max(2, queue.depth / 2) * requestSize)
        self.timeout = .seconds(timeout)
    }
}
