// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import StationProtocol

/// What the policy knows of one slot.
struct SlotTrack: Sendable {
    /// What was found out about a medium; it stays until that medium is pulled.
    enum Verdict: Sendable, Equatable {
        case refused(ErrorCode, String)
        case passed, alreadyDone
        case failed(ErrorCode, String)
        case quarantined
    }

    struct Present: Sendable {
        var medium: Medium
        /// It was there before the station was armed, it was judged, or it was ejected: it is not looked at again.
        var isSettled: Bool
        var verdict: Verdict?
    }

    struct Job: Sendable {
        enum Stage: Sendable {
            case gate, samples, writing, verifying
        }

        let ticket: JobTicket
        let medium: Medium
        let arming: Arming
        /// Counts armings: two can be alike.
        let armingNumber: UInt64
        var stage = Stage.gate
        var isCancelled = false
        var isStalled = false
        /// Pulled, or no longer what it said it was; nothing good can come of it.
        var fault: Verdict?

        /// An engine was started: the medium may have been changed.
        var isWriting: Bool { stage == .writing || stage == .verifying }
    }

    let slot: Slot
    /// By path. One, unless a card reader or another disk of several units is in the socket.
    var media: [Present] = []
    var job: Job?
    /// A job's end that nobody could see at the medium, as it was pulled too early; shown until the next one comes.
    var aftermath: Verdict?
    /// The highest number of a medium that was ever here: a late event of one that has gone is no arrival.
    var highestSequence: UInt64 = 0

    init(slot: Slot) {
        self.slot = slot
    }

    var state: SlotState {
        if let job {
            if job.isStalled { return .notResponding }
            switch job.stage {
            case .gate, .samples: return .probing
            case .writing: return .writing
            case .verifying: return .verifying
            }
        }
        return switch shown {
        case nil: media.isEmpty ? .empty : .present
        case .refused: .refused
        case .passed: .passed
        case .alreadyDone: .alreadyDone
        case .failed: .failed
        case .quarantined: .quarantined
        }
    }

    /// With several media in one socket nothing is green: a person could not tell which one is meant.
    private var shown: Verdict? {
        if media.count > 1 {
            let bad = media.compactMap(\.verdict).first { $0 != .passed && $0 != .alreadyDone }
            return bad ?? .refused(.ambiguous, "several media are in this socket")
        }
        return media.first?.verdict ?? (media.isEmpty ? aftermath : nil)
    }

    var reason: (code: ErrorCode, text: String)? {
        guard job == nil else { return nil }
        return switch shown {
        case .refused(let code, let text), .failed(let code, let text): (code, text)
        default: nil
        }
    }

    func index(of sysfsPath: String) -> Int? { media.firstIndex { $0.medium.sysfsPath == sysfsPath } }

    /// Says what became of a medium, if it is still there.
    mutating func settle(_ medium: Medium, _ verdict: Verdict?) {
        guard let index = media.firstIndex(where: { $0.medium == medium }) else { return }
        media[index].isSettled = true
        media[index].verdict = verdict
    }
}
