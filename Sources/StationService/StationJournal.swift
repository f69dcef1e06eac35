// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import ServiceManager
import Station

/// What the station tells the system's log, with fields to search for: `journalctl FLASHLAYER_SLOT=3`.
struct StationJournal: Sendable {
    let journal: Journal

    func tell(_ note: StationNote) {
        switch note {
        case .began(let job): write(.info, "slot \(job.slot): writing \(job.imageName) to \(name(job))", job, nil)
        case .ended(let job, let outcome):
            switch outcome {
            case .passed: write(.notice, "slot \(job.slot): \(name(job)) passed", job, "passed")
            case .alreadyDone:
                write(.notice, "slot \(job.slot): \(name(job)) holds the image already", job, "already-done")
            case .failed(let code, let text):
                write(
                    .warning,
                    "slot \(job.slot): \(name(job)) failed: \(Printable.line(text)) [\(code.rawValue)]",
                    job,
                    "failed"
                )
            case .cancelled: write(.warning, "slot \(job.slot): \(name(job)) was cancelled", job, "cancelled")
            }
        case .duplicate(let identity):
            tell(
                .warning,
                "several sticks call themselves \(Printable.line(identity.serial)): none of them is known again"
            )
        case .released(let identity):
            tell(.notice, "stick \(Printable.line(identity.serial)) is let out of its quarantine")
        }
    }

    func tell(_ notice: StationNotice) {
        switch notice {
        case .slowLink(let slot, let speed, let taught):
            tell(.warning, "slot \(slot): the stick's link has \(speed) Mbit/s; the slot was taught with \(taught)")
        // The note of it is told.
        case .duplicateSerial: break
        case .countReached(let count): tell(.notice, "\(count) sticks passed, as many as were asked for")
        case .disarmed: tell(.notice, "disarmed")
        case .notResponding(let slot): tell(.warning, "slot \(slot) does not respond")
        }
    }

    func tell(_ priority: Journal.Priority, _ message: String) {
        journal.write(priority, message)
    }

    private func name(_ job: JobFacts) -> String {
        job.medium.serial.map { "stick \(Printable.line($0))" } ?? "the stick at \(job.medium.path)"
    }

    private func write(_ priority: Journal.Priority, _ message: String, _ job: JobFacts, _ result: String?) {
        var fields = ["FLASHLAYER_SLOT": job.slot, "FLASHLAYER_IMAGE_DIGEST": job.imageDigest]
        if let serial = job.medium.serial { fields["FLASHLAYER_SERIAL"] = serial }
        if let result { fields["FLASHLAYER_RESULT"] = result }
        journal.write(priority, message, fields)
    }
}
