// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model

/// A target that is open, as the passes see it. It belongs to one thread.
struct OpenTarget {
    let path: String
    /// Opened with O_DIRECT.
    let descriptor: Int32
    /// Bytes.
    let size: UInt64
    /// The logical sector size in bytes: what offsets and lengths are multiples of.
    let sectorSize: UInt64
    let queue: TransferQueue
    let monitor: JobMonitor

    /// Forgets what the kernel remembers of the target, so that reading reaches the medium.
    func dropCache() {
        Claim.dropCache(descriptor)
    }

    /// A length as the device takes it: whole sectors.
    func padded(_ length: Int) -> Int {
        Int(UInt64(length).roundedUp(to: sectorSize))
    }

    /// Flushes; says now and then that it is still at it.
    ///
    /// - Parameter written: bytes since the last flush. What lies in a cache of memory takes its time, on top of the
    ///   usual time limit: 16 MiB a second is what the slowest devices of that kind reach.
    func flush(after written: UInt64 = 0) throws {
        let patience = RequestQueue.isCached(of: descriptor) ? Duration.seconds(Int(written >> 24)) : .zero
        try queue.flush(patience: patience, whileWaiting: monitor.whileWaiting())
    }
}
