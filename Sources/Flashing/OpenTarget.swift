// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model

/// A target that is open, as the passes see it.
struct OpenTarget: Sendable {
    let path: String
    /// Opened with O_DIRECT.
    let descriptor: Int32
    /// Bytes.
    let size: UInt64
    /// The logical sector size in bytes: what offsets and lengths are multiples of.
    let sectorSize: UInt64

    /// Forgets what the kernel remembers of the target, so that reading reaches the medium.
    func dropCache() {
        Claim.dropCache(descriptor)
    }
}

/// What a job reports to, and whether it still should go on.
struct JobMonitor: Sendable {
    let emit: @Sendable (FlashEvent) -> Void
    let isCancelled: @Sendable () -> Bool

    func checkCancelled() throws {
        if isCancelled() { throw FlashlayerError(.interrupted, "interrupted") }
    }
}

/// Tells the progress of one phase, four times a second at most.
struct ProgressMeter: ~Copyable {
    private let phase: FlashPhase
    private let total: UInt64
    private let monitor: JobMonitor
    private var done: UInt64 = 0
    private var lastReport: ContinuousClock.Instant

    init(_ phase: FlashPhase, total: UInt64, _ monitor: JobMonitor) {
        self.phase = phase
        self.total = total
        self.monitor = monitor
        lastReport = .now
        monitor.emit(.phase(phase))
        monitor.emit(.progress(FlashProgress(phase: phase, bytesDone: 0, bytesTotal: total)))
    }

    mutating func add(_ bytes: UInt64) {
        done = min(total, done + bytes)
        guard ContinuousClock.now - lastReport >= .milliseconds(250) else { return }
        report()
    }

    mutating func finish() {
        done = total
        report()
    }

    private mutating func report() {
        lastReport = .now
        monitor.emit(.progress(FlashProgress(phase: phase, bytesDone: done, bytesTotal: total)))
    }
}
