// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Station

/// What the station does to the world, as the policy orders it. The hands of a test only pretend.
///
/// Cancelling the task of a call ends it soon, even when a device hangs.
package protocol StationHands: Sendable {
    /// Asks the device gate of a medium. No rule is lifted.
    func judge(_ medium: Medium, for image: PreparedImage) async -> GateVerdict

    /// Whether a medium holds the image already.
    func holds(_ image: PreparedImage, _ medium: Medium, onProgress: @escaping @Sendable (JobProgress) -> Void) async
        -> Bool

    /// Writes an image to a medium, and reads all of it back. Whatever becomes of it is an outcome.
    func write(_ image: PreparedImage, to medium: Medium, onProgress: @escaping @Sendable (JobProgress) -> Void) async
        -> JobReport

    /// Flushes a medium; switches its port off where that is possible.
    func eject(_ medium: Medium) async
}

/// How far a job is.
package struct JobProgress: Sendable, Equatable {
    package let phase: JobPhase
    /// Bytes.
    package let done: UInt64
    /// Bytes; nil: not known.
    package let total: UInt64?

    package init(_ phase: JobPhase, done: UInt64, total: UInt64?) {
        self.phase = phase
        self.done = done
        self.total = total
    }
}

/// How a job ended, and what it measured.
package struct JobReport: Sendable, Equatable {
    package let outcome: JobOutcome
    package var figures = JobFigures()

    package init(_ outcome: JobOutcome) {
        self.outcome = outcome
    }
}

/// For the records.
package struct JobFigures: Sendable, Equatable {
    /// Bytes.
    package var written: UInt64 = 0
    package var verified: UInt64 = 0
    package var writeSeconds = 0.0
    package var verifySeconds = 0.0
    package var chunksRepaired = 0

    package init() {}
}
