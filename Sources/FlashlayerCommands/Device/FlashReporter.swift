// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Flashing
import Model
import Synchronization

/// Tells a job's course: JSON lines on standard output, or a status line and a few sentences for a person.
final class FlashReporter: Sendable {
    private struct State {
        var progress = ProgressLine()
        var phase: FlashPhase?
        var last: FlashProgress?
        var lastSaid = ContinuousClock.now
        /// When `--json` last told of progress.
        var lastProgress: ContinuousClock.Instant?
    }

    /// Readers of the lines are told of progress at most so often.
    private static let interval = Duration.milliseconds(250)

    private let target: String
    private let json: Bool
    private let console: Console
    private let state = Mutex(State())

    init(target: String, json: Bool, console: Console) {
        self.target = target
        self.json = json
        self.console = console
    }

    func report(_ event: FlashEvent) {
        switch event {
        case .phase(let phase):
            state.withLock { state in
                state.phase = phase
                state.last = nil
                state.progress.restart()
                state.lastSaid = .now
            }
            if json {
                emit("phase", FlashRecord.Phase(target: target, phase: phase))
            } else {
                console.detail("\(target): \(phase.rawValue)")
                if phase == .flush || phase == .settle || phase == .probe { console.status("\(phase.rawValue) ...") }
            }
        case .progress(let progress): show(progress)
        case .warning(let message):
            if json { emit("warning", FlashRecord.Warning(target: target, message: message)) }
            console.warn("\(target): \(message)")
        case .finished, .touched, .alive: break
        }
    }

    /// Says again where the job stands: a reader of the lines hears of a job that is waiting at least once in ten
    /// seconds.
    func heartbeat() {
        let (last, phase, silence) = state.withLock { ($0.last, $0.phase, ContinuousClock.now - $0.lastSaid) }
        guard silence > .seconds(8) else { return }
        if let last {
            show(last)
        } else if let phase {
            // A phase that cannot tell how far it is: it waits for the device.
            state.withLock { $0.lastSaid = .now }
            if json {
                emit(
                    "progress",
                    FlashRecord.Progress(
                        target: target,
                        phase: phase,
                        bytesDone: 0,
                        bytesTotal: nil,
                        bytesPerSecond: nil
                    )
                )
            } else if !console.isTerminal {
                console.say("\(target): \(phase.rawValue) ...")
            }
        }
    }

    private func show(_ progress: FlashProgress) {
        let (line, rate, plain, tooSoon) = state.withLock { state in
            let now = ContinuousClock.now
            state.last = progress
            let line = state.progress.line(
                progress.phase.rawValue,
                done: progress.bytesDone,
                total: progress.bytesTotal
            )
            // Without a terminal a line now and then is enough.
            let plain = now - state.lastSaid > .seconds(5)
            let tooSoon = state.lastProgress.map { now - $0 < Self.interval } ?? false
            if json, !tooSoon { state.lastProgress = now }
            if plain || json { state.lastSaid = now }
            return (line, state.progress.bytesPerSecond, plain, tooSoon)
        }
        if json, tooSoon { return }
        if json {
            emit(
                "progress",
                FlashRecord.Progress(
                    target: target,
                    phase: progress.phase,
                    bytesDone: progress.bytesDone,
                    bytesTotal: progress.bytesTotal,
                    bytesPerSecond: rate.map { UInt64($0) }
                )
            )
        } else if console.isTerminal {
            console.status(line)
        } else if plain {
            console.say(line)
        }
    }

    /// The end of the job.
    func finish(_ result: FlashResult) {
        console.clearStatus()
        if json {
            emit("finished", FlashRecord.Finished(target: target, result))
            return
        }
        guard result.result == .pass else { return }
        if result.writeSeconds > 0 {
            console.say(
                "written   \(ByteSize.describe(result.bytesWritten)) in \(seconds(result.writeSeconds))"
            )
        }
        if result.bytesVerified > 0 {
            let rate = ProgressLine.describe(rate: Double(result.bytesVerified) / max(0.001, result.verifySeconds))
            console.say(
                "verified  \(ByteSize.describe(result.bytesVerified)) in \(seconds(result.verifySeconds)), \(rate)"
            )
        }
    }

    func emit(_ event: String, _ body: some Encodable) {
        Console.answer(FlashRecord.line(event, body))
    }

    private func seconds(_ value: Double) -> String {
        "\(Int(value * 10) / 10).\(Int(value * 10) % 10) s"
    }
}
