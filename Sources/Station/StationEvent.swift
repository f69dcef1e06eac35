// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// What happened, in the order in which it was heard of.
package enum StationEvent: Sendable {
    /// An `add` or `change` of udev; the kernel may tell of one medium as often as it likes.
    case seen(Medium)
    /// A `remove`: nothing but its path is believed.
    case left(sysfsPath: String)
    /// All media that sysfs has now, after events may have been lost.
    case enumerated([Medium])
    /// The device gate, asked by `probe`.
    case judged(JobTicket, GateVerdict)
    /// The samples, asked for by `compare`: whether they are those of the image.
    case compared(JobTicket, matches: Bool)
    case progressed(JobTicket, JobPhase)
    case ended(JobTicket, JobOutcome)
    /// Nothing was heard of the job's worker for too long.
    case stalled(JobTicket)
    /// The time that the operator named at arming has come.
    case expired
}

/// A job's number, never given twice by one policy.
package struct JobTicket: Hashable, Sendable {
    package let number: UInt64
}

package enum GateVerdict: Sendable, Equatable {
    case passed
    /// By the first rule in the way. The station lifts none.
    case refused(ErrorCode, String)
}

package enum JobPhase: Sendable, Equatable {
    case writing, verifying
}

package enum JobOutcome: Sendable, Equatable {
    case passed
    /// The re-read of samples sufficed.
    case alreadyDone
    case failed(ErrorCode, String)
    /// By the operator; it says nothing of the stick, and the stick holds no image.
    case cancelled
}

/// What the caller is to do, in this order.
package enum StationCommand: Sendable, Equatable {
    /// Ask the device gate; answer with `judged`.
    case probe(JobTicket, Medium)
    /// Re-read samples of a stick that is said to carry the image already; answer with `compared`.
    case compare(JobTicket, Medium, imageDigest: String)
    /// Start an engine, which claims this very medium, and no other that took its place; answer with `ended`.
    case write(JobTicket, Medium, imageDigest: String)
    /// Stop a probe, a comparison or an engine; `ended` still follows.
    case cancel(JobTicket)
    /// Nobody waits for it any longer; nothing that it still says is heard.
    case abandon(JobTicket)
    /// Flush, and switch the port off where that is possible.
    case eject(Medium)
    case record(StationNote)
    case notify(StationNotice)
}

/// What the records keep.
package enum StationNote: Sendable, Equatable {
    case began(JobFacts)
    /// Without a `began` before it nothing was written: the stick was done already.
    case ended(JobFacts, JobOutcome)
    case duplicate(MediumIdentity)
    case released(MediumIdentity)
}

/// One job, for the records.
package struct JobFacts: Sendable, Equatable {
    package let ticket: JobTicket
    package let slot: String
    package let medium: Medium
    package let imageName: String
    package let imageDigest: String
    package let `operator`: String?
    package let batch: String?
}

/// What people should hear of.
package enum StationNotice: Sendable, Equatable {
    /// Mbit/s.
    case slowLink(slot: String, is: Int, taught: Int)
    case duplicateSerial(MediumIdentity)
    case countReached(Int)
    case disarmed
    case notResponding(slot: String)
}
