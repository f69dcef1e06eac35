// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// What the work on one target reports to, and whether it still should go on.
struct JobMonitor: Sendable {
    let emit: @Sendable (FlashEvent) -> Void
    let isCancelled: @Sendable () -> Bool

    func checkCancelled() throws {
        if isCancelled() { throw FlashlayerError(.interrupted, "interrupted") }
    }

    /// What to call now and then while something else is waited for: says that it still goes on, and throws once nobody
    /// wants it any more.
    func whileWaiting() -> () throws -> Void {
        var pulse = Pulse(self)
        return {
            pulse.beat()
            try checkCancelled()
        }
    }
}

/// Tells the progress of one phase, four times a second at most.
struct ProgressMeter: ~Copyable {
    private let phase: FlashPhase
    private var total: UInt64?
    private let monitor: JobMonitor
    private var done: UInt64 = 0
    private var lastReport: ContinuousClock.Instant

    /// - Parameter isNew: false goes on with a phase that was told of already.
    init(_ phase: FlashPhase, total: UInt64?, _ monitor: JobMonitor, isNew: Bool = true) {
        self.phase = phase
        self.total = total
        self.monitor = monitor
        lastReport = .now
        if isNew { monitor.emit(.phase(phase)) }
        monitor.emit(.progress(FlashProgress(phase: phase, bytesDone: 0, bytesTotal: total)))
    }

    mutating func add(_ bytes: UInt64) {
        done += bytes
        if let total { done = min(done, total) }
        beat()
    }

    /// Says again where it stands, if it was silent for a while.
    mutating func beat() {
        guard ContinuousClock.now - lastReport >= .milliseconds(250) else { return }
        report()
    }

    mutating func finish() {
        if let total { done = total } else { total = done }
        report()
    }

    private mutating func report() {
        lastReport = .now
        monitor.emit(.progress(FlashProgress(phase: phase, bytesDone: done, bytesTotal: total)))
    }
}

/// Says that a phase without any progress to tell is still going on, so that nobody takes the silence for a hang.
struct Pulse {
    private let monitor: JobMonitor
    private var last = ContinuousClock.now

    init(_ monitor: JobMonitor) {
        self.monitor = monitor
    }

    mutating func beat() {
        guard ContinuousClock.now - last >= .seconds(1) else { return }
        last = .now
        monitor.emit(.alive)
    }
}
