// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model
package import ServiceManager
package import Station
package import StationProtocol

/// Hears what happens, asks the policy, and has its orders carried out: each in a task of its own, so that no stick is
/// waited for by another.
package actor Conductor {
    /// A look at a medium, or a job that was stopped, which takes longer than this hangs.
    private static let patience = Duration.seconds(30)

    private static let silence = JobOutcome.failed(.notResponding, "it gave no answer")

    private struct Work {
        let task: Task<Void, Never>
        /// Nil while an engine works, which watches its stick itself.
        var deadline: ContinuousClock.Instant?
        var isHung = false
    }

    package nonisolated let bulletin: StationBulletin
    private let station: String?
    private let hands: any StationHands
    private let archive: any StationArchive
    private let journal: StationJournal
    private let clock: @Sendable () -> Double
    private var policy: StationPolicy<MemoryHistory>
    /// Of this arming.
    private var image: PreparedImage?
    /// Of the jobs that run, which may be of an earlier arming.
    private var images: [JobTicket: PreparedImage] = [:]
    private var work: [JobTicket: Work] = [:]
    private var scores: [String: (ticket: JobTicket, score: Score)] = [:]
    private var isArming = false

    /// - Parameters:
    ///   - station: its name, for status and records.
    ///   - present: what was there before the station was.
    ///   - clock: seconds since 1970.
    package init(
        station: String?,
        map: SlotMap,
        present: [Medium],
        hands: any StationHands,
        archive: any StationArchive,
        journal: Journal,
        clock: @escaping @Sendable () -> Double
    ) {
        self.station = station
        self.hands = hands
        self.archive = archive
        self.journal = StationJournal(journal: journal)
        self.clock = clock
        policy = StationPolicy(
            map: map,
            history: archive.history,
            present: present,
            interrupted: archive.interrupted
        )
        bulletin = StationBulletin(policy.status(station: station))
    }

    package func hear(_ event: StationEvent) {
        carryOut(policy.handle(event))
    }

    // MARK: - What the operator says

    /// Prepares an image and arms the station with it.
    ///
    /// - Parameters:
    ///   - census: is asked last, so that nothing that comes while the image is read counts as old before the station is
    ///     armed, and nothing that was there counts as new.
    /// - Throws: `busy`, `usage`; what `PreparedImage` throws.
    package func arm(_ request: ArmRequest, census: @Sendable () async throws -> MediaCensus) async throws {
        guard !isArming, policy.status(station: nil).arming == nil else {
            throw FlashlayerError(
                .busy,
                isArming ? "the station is being armed" : "the station is armed already",
                advice: "disarm it first: flashlayer station disarm"
            )
        }
        isArming = true
        defer { isArming = false }
        let slots = try policy.map.selection(request.slots)
        let sizes = try Self.sizes(request)
        if let until = request.until, Double(until) <= clock() {
            throw FlashlayerError(.usage, "the time until which it is to be armed is over")
        }
        let prepared = try await PreparedImage(at: request.image)
        if let size = prepared.facts.size, let largest = sizes?.upperBound, largest < size {
            throw FlashlayerError(
                .usage,
                "the image has \(ByteSize.describe(size)), and sticks of at most \(ByteSize.describe(largest)) are allowed"
            )
        }
        let seen = try await census()
        hear(.enumerated(seen.media))
        let commands = try policy.arm(
            Arming(
                imageName: prepared.name,
                imageDigest: prepared.digest.description,
                slots: slots,
                sizes: sizes,
                count: request.count,
                until: request.until,
                operator: request.operator,
                batch: request.batch,
                highestSequence: seen.highestSequence
            )
        )
        image = prepared
        journal.tell(
            .notice,
            "armed by \(request.operator.map { Printable.line($0) } ?? "somebody"): \(prepared.name) to slots \(Printable.line(request.slots))"
        )
        carryOut(commands)
    }

    private static func sizes(_ request: ArmRequest) throws -> ClosedRange<UInt64>? {
        guard request.smallest != nil || request.largest != nil else { return nil }
        let (smallest, largest) = (request.smallest ?? 0, request.largest ?? .max)
        guard smallest <= largest else { throw FlashlayerError(.usage, "the range of sizes is empty") }
        return smallest...largest
    }

    package func disarm(cancel: Bool) {
        carryOut(policy.disarm(cancel: cancel))
    }

    /// - Throws: `usage`, `no-medium`, `busy`.
    package func eject(slot: String) throws {
        carryOut(try policy.eject(slot: slot))
    }

    /// - Throws: `usage`.
    package func release(slot: String) throws {
        carryOut(try policy.release(slot: slot))
    }

    /// Ends all jobs, so that no stick looks like a good one, and waits for them.
    ///
    /// - Parameter onWait: is called now and then while it is waited.
    package func stop(upTo limit: Duration, onWait: @Sendable () -> Void = {}) async {
        carryOut(policy.disarm(cancel: true))
        let end = ContinuousClock.now + limit
        while !work.isEmpty, ContinuousClock.now < end {
            onWait()
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// To be called about once a second: what has taken too long, and whether the arming's time is over.
    package func tick() {
        if let until = policy.status(station: nil).arming?.until, Double(until) <= clock() { hear(.expired) }
        let now = ContinuousClock.now
        for (ticket, job) in work where !job.isHung && job.deadline.map({ $0 < now }) == true {
            work[ticket]?.isHung = true
            hear(.stalled(ticket))
        }
    }

    // MARK: - Orders

    private func carryOut(_ commands: [StationCommand]) {
        var refused: (JobTicket, FlashlayerError)?
        for command in commands {
            switch command {
            case .probe(let ticket, let medium): probe(ticket, medium)
            case .compare(let ticket, let medium, _): compare(ticket, medium)
            case .write(let ticket, let medium, _):
                // Nothing is written of which there is no record.
                if let refused, refused.0 == ticket { continue }
                write(ticket, medium)
            case .cancel(let ticket): cancel(ticket)
            case .abandon(let ticket): forget(ticket)
            case .eject(let medium): Task { [hands] in await hands.eject(medium) }
            case .record(let note):
                do {
                    try keep(note)
                } catch {
                    let failure = FlashlayerError(wrapping: error)
                    journal.tell(.error, "no record could be kept: \(failure.message)")
                    if case .began(let job) = note { refused = (job.ticket, failure) }
                }
            case .notify(let notice): journal.tell(notice)
            }
        }
        publish()
        if let (ticket, failure) = refused {
            hear(.ended(ticket, .failed(failure.code, "no record could be kept of it: \(failure.message)")))
        }
    }

    private var figures: [JobTicket: JobFigures] = [:]

    private func keep(_ note: StationNote) throws {
        var found: JobFigures?
        if case .ended(let job, _) = note { found = figures.removeValue(forKey: job.ticket) }
        // First in memory: what the policy decides next goes by it, whatever becomes of the record.
        policy.history.apply(note)
        journal.tell(note)
        try archive.keep(note, figures: found, at: clock())
    }

    private func probe(_ ticket: JobTicket, _ medium: Medium) {
        guard let image else { return }
        images[ticket] = image
        begin(ticket) { [hands] in .judged(ticket, await hands.judge(medium, for: image)) }
    }

    private func compare(_ ticket: JobTicket, _ medium: Medium) {
        guard let image = images[ticket] else { return }
        begin(ticket, isWatched: true) { [hands] in
            let matches = await hands.holds(image, medium) { progress in
                Task { await self.note(ticket, progress) }
            }
            return .compared(ticket, matches: matches)
        }
    }

    private func write(_ ticket: JobTicket, _ medium: Medium) {
        guard let image = images[ticket] else { return }
        begin(ticket, isWatched: true) { [hands] in
            let report = await hands.write(image, to: medium) { progress in
                Task { await self.note(ticket, progress) }
            }
            await self.measured(ticket, report.figures)
            return .ended(ticket, report.outcome)
        }
    }

    /// - Parameter isWatched: it ends by itself when its device hangs.
    private func begin(
        _ ticket: JobTicket,
        isWatched: Bool = false,
        _ body: @escaping @Sendable () async -> StationEvent
    ) {
        let task = Task {
            let event = await body()
            self.done(ticket, Task.isCancelled, event)
        }
        work[ticket] = Work(task: task, deadline: isWatched ? nil : ContinuousClock.now + Self.patience)
    }

    private func done(_ ticket: JobTicket, _ isCancelled: Bool, _ event: StationEvent) {
        // It was abandoned meanwhile.
        guard let ended = work.removeValue(forKey: ticket) else { return }
        switch event {
        // What was stopped while nothing was written has no other end.
        case .judged where isCancelled, .compared where isCancelled:
            hear(.ended(ticket, ended.isHung ? Self.silence : .cancelled))
        default: hear(event)
        }
        if work[ticket] == nil { forget(ticket) }
    }

    private func measured(_ ticket: JobTicket, _ figures: JobFigures) {
        guard work[ticket] != nil else { return }
        self.figures[ticket] = figures
    }

    private func cancel(_ ticket: JobTicket) {
        guard work[ticket] != nil else { return }
        work[ticket]?.deadline = ContinuousClock.now + Self.patience
        work[ticket]?.task.cancel()
    }

    private func forget(_ ticket: JobTicket) {
        work.removeValue(forKey: ticket)?.task.cancel()
        images[ticket] = nil
        figures[ticket] = nil
        scores = scores.filter { $0.value.ticket != ticket }
        publish()
    }

    private func note(_ ticket: JobTicket, _ progress: JobProgress) {
        guard work[ticket] != nil, let slot = policy.slot(of: ticket) else { return }
        var score = scores[slot].flatMap { $0.ticket == ticket ? $0.score : nil } ?? Score()
        let isNewPhase = score.progress?.phase != progress.phase
        score.note(progress, at: ContinuousClock.now)
        scores[slot] = (ticket, score)
        if isNewPhase { return hear(.progressed(ticket, progress.phase)) }
        publish()
    }

    private func publish() {
        var status = policy.status(station: station)
        for index in status.slots.indices { scores[status.slots[index].name]?.score.fill(&status.slots[index]) }
        bulletin.publish(status)
    }
}
