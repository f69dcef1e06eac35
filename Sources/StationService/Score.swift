// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Station
import StationProtocol

/// How far one job is, and how fast, as the tile of its slot shows it.
struct Score: Sendable {
    /// Over how much of the past the rate is taken. A stick stops for a moment now and then.
    private static let window = Duration.seconds(5)

    private(set) var progress: JobProgress?
    private var points: [(time: ContinuousClock.Instant, done: UInt64)] = []

    mutating func note(_ progress: JobProgress, at time: ContinuousClock.Instant) {
        if self.progress?.phase != progress.phase { points = [] }
        self.progress = progress
        points.append((time, progress.done))
        points.removeAll { time - $0.time > Self.window }
    }

    /// Bytes a second; nil until there is something to measure.
    var rate: UInt64? {
        guard let first = points.first, let last = points.last, last.done > first.done else { return nil }
        let span = last.time - first.time
        let seconds = Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18
        return seconds > 0 ? UInt64(Double(last.done - first.done) / seconds) : nil
    }

    func fill(_ slot: inout StationStatus.Slot) {
        slot.bytesDone = progress?.done
        slot.bytesTotal = progress?.total
        slot.bytesPerSecond = rate
    }
}
