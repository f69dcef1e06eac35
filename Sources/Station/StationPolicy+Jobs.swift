// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

// A job: the gate, samples where the stick is said to be done already, the engine.
extension StationPolicy {
    /// Looks at each medium that nobody has judged yet.
    mutating func startWhatMay() -> [StationCommand] {
        var commands: [StationCommand] = []
        for index in tracks.indices {
            guard tracks[index].job == nil, let arming, arming.slots.contains(tracks[index].slot.name),
                tracks[index].media.count == 1, let present = tracks[index].media.first, !present.isSettled
            else { continue }
            let medium = present.medium
            if let verdict = verdictAtSight(of: medium, arming) {
                tracks[index].settle(medium, verdict)
                continue
            }
            // Those in flight may all pass: one more could be one too many. It waits, and may still have its turn.
            guard arming.count.map({ passes + inFlight < $0 }) ?? true else { continue }
            lastTicket += 1
            let ticket = JobTicket(number: lastTicket)
            tracks[index].job = .init(ticket: ticket, medium: medium, arming: arming, armingNumber: armingNumber)
            commands.append(.probe(ticket, medium))
        }
        return commands
    }

    /// What needs no look at the disk.
    private func verdictAtSight(of medium: Medium, _ arming: Arming) -> SlotTrack.Verdict? {
        if let sizes = arming.sizes, !sizes.contains(medium.size) {
            let range = "\(ByteSize.describe(sizes.lowerBound)) to \(ByteSize.describe(sizes.upperBound))"
            return .refused(.sizeRange, "it has \(ByteSize.describe(medium.size)); armed for \(range)")
        }
        guard let identity = medium.identity, !isDuplicate(identity) else { return nil }
        return history.failures(of: identity) >= Self.failuresBeforeQuarantine ? .quarantined : nil
    }

    static var failuresBeforeQuarantine: Int { 2 }

    /// Jobs of this arming that may yet pass.
    var inFlight: Int {
        tracks.count { $0.job?.armingNumber == armingNumber && arming != nil }
    }

    mutating func judged(_ index: Int, _ verdict: GateVerdict) -> [StationCommand] {
        guard let job = tracks[index].job, job.stage == .gate else { return [] }
        if case .refused(let code, let text) = verdict {
            return close(index, job.fault ?? .refused(code, text), nil)
        }
        guard mayGoOn(job) else { return close(index, job.fault, nil) }
        if let identity = job.medium.identity, !isDuplicate(identity),
            history.hasPassed(identity, imageDigest: job.arming.imageDigest)
        {
            tracks[index].job?.stage = .samples
            return [.compare(job.ticket, job.medium, imageDigest: job.arming.imageDigest)]
        }
        return write(index, job)
    }

    mutating func compared(_ index: Int, _ matches: Bool) -> [StationCommand] {
        guard let job = tracks[index].job, job.stage == .samples else { return [] }
        guard mayGoOn(job) else { return close(index, job.fault, nil) }
        // While the samples were read another stick with this serial may have come.
        let isKnown = job.medium.identity.map { !isDuplicate($0) } ?? false
        guard matches, isKnown else { return write(index, job) }
        return close(index, .alreadyDone, .alreadyDone)
    }

    private mutating func write(_ index: Int, _ job: SlotTrack.Job) -> [StationCommand] {
        // A second unit in the same socket may have come since.
        guard tracks[index].media.count == 1 else {
            return close(index, .refused(.ambiguous, "several media are in this socket"), nil)
        }
        tracks[index].job?.stage = .writing
        return [
            .record(.began(facts(tracks[index], job))),
            .write(job.ticket, job.medium, imageDigest: job.arming.imageDigest),
        ]
    }

    private func mayGoOn(_ job: SlotTrack.Job) -> Bool {
        arming != nil && job.armingNumber == armingNumber && !job.isCancelled && job.fault == nil
    }

    mutating func progressed(_ index: Int, _ phase: JobPhase) -> [StationCommand] {
        guard let job = tracks[index].job, job.isWriting else { return [] }
        tracks[index].job?.stage = phase == .writing ? .writing : .verifying
        // It lives after all.
        tracks[index].job?.isStalled = false
        return []
    }

    mutating func ended(_ index: Int, _ outcome: JobOutcome) -> [StationCommand] {
        guard let job = tracks[index].job else { return [] }
        guard job.isWriting else {
            // A probe that was stopped, or broke down; it has changed nothing.
            if case .failed(let code, let text) = outcome {
                return close(index, job.fault ?? .refused(code, text), nil)
            }
            return close(index, job.fault, nil)
        }
        switch outcome {
        case .passed, .alreadyDone:
            if let fault = job.fault, case .failed(let code, let text) = fault, code != .deviceGone {
                return close(index, fault, .failed(code, text))
            }
            // Pulled after the engine's last look, but before it was heard: that stick is good, and it is counted.
            if job.armingNumber == armingNumber { passes += 1 }
            var commands = close(index, .passed, .passed)
            if let arming, let count = arming.count, passes >= count, job.armingNumber == armingNumber {
                commands += [.notify(.countReached(count))] + disarmed()
            }
            return commands
        case .failed(let code, let text):
            return close(index, job.fault ?? .failed(code, text), outcome)
        case .cancelled:
            if let fault = job.fault, case .failed(let code, let text) = fault {
                return close(index, fault, .failed(code, text))
            }
            return close(index, .failed(.interrupted, "it was cancelled; the stick holds no image"), .cancelled)
        }
    }

    mutating func stalled(_ index: Int) -> [StationCommand] {
        guard tracks[index].job?.isStalled == false else { return [] }
        tracks[index].job?.isStalled = true
        return [.notify(.notResponding(slot: tracks[index].slot.name))] + cancelJob(index)
    }

    /// Once.
    mutating func cancelJob(_ index: Int) -> [StationCommand] {
        guard let job = tracks[index].job, !job.isCancelled else { return [] }
        tracks[index].job?.isCancelled = true
        return [.cancel(job.ticket)]
    }

    /// Ends the job of a slot.
    ///
    /// - Parameters:
    ///   - verdict: what is shown of its medium; nil: it is just there.
    ///   - outcome: for the records; nil: no engine was started, and there is nothing to remember.
    mutating func close(_ index: Int, _ verdict: SlotTrack.Verdict?, _ outcome: JobOutcome?) -> [StationCommand] {
        guard let job = tracks[index].job else { return [] }
        tracks[index].job = nil
        tracks[index].settle(job.medium, verdict)
        // A failure nobody can see any more at the stick itself.
        if tracks[index].media.isEmpty, case .failed = verdict, job.isWriting { tracks[index].aftermath = verdict }
        return outcome.map { [.record(.ended(facts(tracks[index], job), $0))] } ?? []
    }

    private func facts(_ track: SlotTrack, _ job: SlotTrack.Job) -> JobFacts {
        JobFacts(
            ticket: job.ticket,
            slot: track.slot.name,
            medium: job.medium,
            imageName: job.arming.imageName,
            imageDigest: job.arming.imageDigest,
            operator: job.arming.operator,
            batch: job.arming.batch
        )
    }
}
