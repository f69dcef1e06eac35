// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import StationProtocol

/// Who is written, when, and what the slots show of it: events in, commands out. It has no clock, and does nothing.
///
/// Whatever is not known to be a new medium in an armed slot is left alone. A medium is looked at once: what is true of
/// it then stays until it is pulled.
package struct StationPolicy<History: StationHistory> {
    package let map: SlotMap
    package var history: History

    var tracks: [SlotTrack]
    /// Paths of disks in sockets that were never taught, for their serials and to count them.
    var strangers: [String: Medium] = [:]
    var arming: Arming?
    var armingNumber: UInt64 = 0
    var passes = 0
    var lastTicket: UInt64 = 0
    /// Those that the history may not have yet.
    var duplicates: Set<MediumIdentity> = []

    /// A station that starts is disarmed, and what is there is old.
    ///
    /// - Parameters:
    ///   - present: all media that sysfs has.
    ///   - interrupted: slots whose last job never ended; a medium that is still there is not what it looks like.
    package init(map: SlotMap, history: History, present: [Medium], interrupted: Set<String> = []) {
        self.map = map
        self.history = history
        tracks = map.slots.map(SlotTrack.init)
        for medium in present where medium.size > 0 {
            _ = appear(medium, isOld: true)
        }
        for index in tracks.indices where interrupted.contains(tracks[index].slot.name) {
            for place in tracks[index].media.indices {
                tracks[index].media[place].verdict = .failed(.interrupted, "the station stopped while it was written")
            }
        }
    }

    /// - Returns: what to do now, in this order.
    package mutating func handle(_ event: StationEvent) -> [StationCommand] {
        var commands: [StationCommand]
        switch event {
        case .seen(let medium): commands = see(medium)
        case .left(let path): commands = leave(path)
        case .enumerated(let media): commands = compare(with: media)
        case .judged(let ticket, let verdict): commands = withJob(ticket) { $0.judged($1, verdict) }
        case .compared(let ticket, let matches): commands = withJob(ticket) { $0.compared($1, matches) }
        case .progressed(let ticket, let phase): commands = withJob(ticket) { $0.progressed($1, phase) }
        case .ended(let ticket, let outcome): commands = withJob(ticket) { $0.ended($1, outcome) }
        case .stalled(let ticket): commands = withJob(ticket) { $0.stalled($1) }
        case .expired: commands = disarmed()
        }
        commands += startWhatMay()
        return commands
    }

    /// An event of a job that ended, or was abandoned, is nobody's.
    private mutating func withJob(_ ticket: JobTicket, _ body: (inout Self, Int) -> [StationCommand])
        -> [StationCommand]
    {
        guard let index = tracks.firstIndex(where: { $0.job?.ticket == ticket }) else { return [] }
        return body(&self, index)
    }
}

// MARK: - What the operator says

extension StationPolicy {
    /// - Throws: `busy` when it is armed already, `usage` when the arming cannot be meant.
    package mutating func arm(_ new: Arming) throws -> [StationCommand] {
        guard arming == nil else {
            throw FlashlayerError(.busy, "the station is armed already", advice: "disarm it first")
        }
        guard !new.slots.isEmpty else { throw FlashlayerError(.usage, "no slot was named") }
        if let unknown = new.slots.sorted().first(where: { map.slot(named: $0) == nil }) {
            throw FlashlayerError(.usage, "there is no slot '\(Printable.line(unknown))'")
        }
        if let count = new.count, count < 1 { throw FlashlayerError(.usage, "a count is at least 1, not \(count)") }
        arming = new
        armingNumber += 1
        passes = 0
        for index in tracks.indices {
            for place in tracks[index].media.indices { tracks[index].media[place].isSettled = true }
        }
        return []
    }

    /// Starts no more jobs.
    ///
    /// - Parameter cancel: those that run are stopped; otherwise they end by themselves.
    package mutating func disarm(cancel: Bool) -> [StationCommand] {
        var commands = disarmed()
        guard cancel else { return commands }
        for index in tracks.indices { commands += cancelJob(index) }
        return commands
    }

    mutating func disarmed() -> [StationCommand] {
        guard arming != nil else { return [] }
        arming = nil
        return [.notify(.disarmed)]
    }

    /// A medium that may be pulled. It is not written any more before it was.
    ///
    /// - Throws: `usage` for no such slot, `no-medium`, `busy` while it is written: that is what disarming is for.
    package mutating func eject(slot name: String) throws -> [StationCommand] {
        let index = try track(named: name)
        guard tracks[index].job == nil else {
            throw FlashlayerError(.busy, "slot \(name) is at work", advice: "wait for it, or pull the stick: it fails")
        }
        guard !tracks[index].media.isEmpty else { throw FlashlayerError(.noMedium, "slot \(name) is empty") }
        return tracks[index].media.indices.map { place in
            tracks[index].media[place].isSettled = true
            return .eject(tracks[index].media[place].medium)
        }
    }

    /// Gives a quarantined stick another chance, once it was pulled and is plugged in again; ends the wait for a worker
    /// that hangs; takes the sign off an empty slot.
    ///
    /// - Throws: `usage` for no such slot, or when there is nothing to release.
    package mutating func release(slot name: String) throws -> [StationCommand] {
        let index = try track(named: name)
        var commands: [StationCommand] = []
        if let job = tracks[index].job, job.isStalled {
            let verdict = SlotTrack.Verdict.failed(.notResponding, "it hung, and nobody waits for it any longer")
            let outcome: JobOutcome? = job.isWriting ? .failed(.notResponding, "it hung") : nil
            commands = [.abandon(job.ticket)] + close(index, verdict, outcome)
        } else if tracks[index].state == .quarantined {
            for place in tracks[index].media.indices where tracks[index].media[place].verdict == .quarantined {
                tracks[index].media[place].verdict = nil
                guard let identity = tracks[index].media[place].medium.identity else { continue }
                commands.append(.record(.released(identity)))
            }
        } else if tracks[index].media.isEmpty, tracks[index].aftermath != nil {
            tracks[index].aftermath = nil
        } else {
            throw FlashlayerError(.usage, "there is nothing to release in slot \(name)")
        }
        return commands + startWhatMay()
    }

    private func track(named name: String) throws -> Int {
        guard let index = tracks.firstIndex(where: { $0.slot.name == name }) else {
            throw FlashlayerError(.usage, "there is no slot '\(Printable.line(name))'")
        }
        return index
    }
}
