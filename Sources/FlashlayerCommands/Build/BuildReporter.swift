// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ImageBuilder
import Layers
import Resolution
import Synchronization

/// Shows a build on the console: a line for each phase that has ended and a status line while one runs, or, without a
/// terminal, a line now and then.
final class BuildReporter: Sendable {
    private let console: Console
    private let pulse = Mutex(BuildPulse())

    private init(_ console: Console) {
        self.console = console
    }

    /// Does work that tells what goes on, and shows that.
    static func showing<Result>(
        on console: Console,
        _ work: (@escaping BuildObserver) async throws -> Result
    ) async rethrows -> Result {
        let reporter = BuildReporter(console)
        let heartbeat =
            console.isTerminal
            ? nil
            : Task {
                while true {
                    try await Task.sleep(for: .seconds(1))
                    reporter.beat()
                }
            }
        defer { heartbeat?.cancel() }
        return try await work { reporter.show($0) }
    }

    private func beat() {
        if let line = pulse.withLock({ $0.line(at: .now) }) { console.say(line) }
    }

    private func show(_ event: BuildEvent) {
        pulse.withLock { $0.note(event, at: .now) }
        switch event {
        case .note(let text):
            console.say(text)
        case .warning(let text):
            console.warn(text)
        case .started(let phase):
            if console.isTerminal { console.status(phase.label + "...") } else { console.say(phase.label + "...") }
        case .due(let phase, let reason):
            console.say(phase.label + "to do: \(reason)".printable)
        case .cached(let phase):
            console.say(phase.label + "cached")
        case .finished(let phase, let seconds):
            console.say(phase.label + "\(Int(seconds.rounded())) s")
        case .activity(let text):
            if console.isTerminal { console.status(text) } else { console.detail(text) }
        case .output(let source, let line):
            let line = "\(source): \(line)"
            if console.verbosity > 0 { console.detail(line) } else { console.status(line) }
        }
    }
}

/// What there is to say of work that has been silent for ten seconds.
struct BuildPulse {
    private static let silence = Duration.seconds(10)
    private static let width = 100

    private var phase: Phase?
    private var activity: String?
    /// When the phase began, or what is done outside of one.
    private var start: ContinuousClock.Instant?
    private var lastSaid: ContinuousClock.Instant?

    mutating func note(_ event: BuildEvent, at now: ContinuousClock.Instant) {
        switch event {
        case .note, .warning, .due: return
        case .started(let phase): self = BuildPulse(phase: phase, activity: nil, start: now, lastSaid: now)
        case .cached, .finished: self = BuildPulse()
        case .activity(let text): tell(text, isNew: phase == nil, now)
        case .output(let source, let line): tell("\(source): \(line)", isNew: false, now)
        }
    }

    private mutating func tell(_ text: String, isNew: Bool, _ now: ContinuousClock.Instant) {
        activity = text
        if isNew || start == nil { start = now }
        lastSaid = lastSaid ?? now
    }

    /// The phase, how long it has run, and the latest of what it does; nil while there is nothing to say.
    mutating func line(at now: ContinuousClock.Instant) -> String? {
        guard let start, let lastSaid, now - lastSaid >= Self.silence else { return nil }
        self.lastSaid = now
        // The dots tell it from the line of a phase that has ended.
        let seconds = "... \(Int((now - start).seconds)) s"
        let line = (phase?.label ?? "") + seconds + (activity.map { ": \($0)" } ?? "")
        return String(line.printable.prefix(Self.width))
    }
}

extension Phase {
    /// The start of a line about the phase.
    fileprivate var label: String { rawValue.padding(to: max(10, rawValue.count + 1)) }
}
