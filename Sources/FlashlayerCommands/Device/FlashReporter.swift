// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Flashing
import FoundationEssentials
import Model
import Synchronization

/// Tells a job's course: JSON lines on standard output, or a status line for each target and a few sentences for a
/// person. Keeps what the report needs.
final class FlashReporter: Sendable {
    private struct Subject {
        /// As the user named it, then the device's path.
        var name: String
        var found: ChosenTarget?
        var progress = ProgressLine()
        var phase: FlashPhase?
        var last: FlashProgress?
        var lastSaid = ContinuousClock.now
        /// When `--json` last told of progress.
        var lastProgress: ContinuousClock.Instant?
        /// At the bottom of a terminal.
        var status: String?
        var result: FlashResult?
        /// Its content is not what it was.
        var wasTouched = false
    }

    private struct State {
        var subjects: [Subject]
        /// As the user wrote it.
        var imageName: String?
        var image: ImageChoice?
        var job: FlashJob?
    }

    /// Readers of the lines are told of progress at most so often.
    private static let interval = Duration.milliseconds(250)
    /// And at least once in ten seconds.
    private static let silence = Duration.seconds(8)

    private let command: String
    private let start = Date()
    private let json: Bool
    private let console: Console
    private let isAlone: Bool
    private let state: Mutex<State>
    /// Whoever speaks has it: nothing is said of a target behind its end.
    private let turn = Mutex<Void>(())

    init(command: String, targets: [String], json: Bool, console: Console) {
        self.command = command
        self.json = json
        self.console = console
        isAlone = targets.count == 1
        state = Mutex(State(subjects: targets.map { Subject(name: $0) }))
    }

    func found(_ target: ChosenTarget, at index: Int) {
        state.withLock { state in
            state.subjects[index].found = target
            state.subjects[index].name = target.path
        }
    }

    /// The job is handed to the engine.
    func begin(_ job: FlashJob, _ image: ImageChoice, _ targets: [ChosenTarget]) {
        state.withLock { state in
            state.image = image
            state.job = job
            for index in state.subjects.indices { state.subjects[index].lastSaid = .now }
        }
        if json {
            let plan = FlashRecord.Plan(image: .init(image.facts), targets: targets.map { .init($0) })
            emit("plan", plan)
        }
    }

    func named(_ image: String) {
        state.withLock { $0.imageName = image }
    }

    /// The image is known, though nothing may come of it.
    func opened(_ image: ImageChoice) {
        state.withLock { $0.image = image }
    }

    /// Nothing is done until these targets are there.
    func waiting(for names: [String], secondsLeft: Int) {
        if json { emit("waiting", FlashRecord.Waiting(targets: names, secondsLeft: secondsLeft)) }
        guard !console.isTerminal else { return }
        let what = names.map(Printable.line).joined(separator: " and ")
        console.say("waiting for \(what), \(ProgressLine.describe(seconds: Double(secondsLeft))) more")
    }

    /// Something was unmounted from a target, or mounted again.
    func changed(_ target: String, _ mountPoint: String, isMounted: Bool) {
        turn.withLock { _ in
            let change = FlashRecord.MountChange(target: target, mountPoint: mountPoint)
            if json { return emit(isMounted ? "mounted" : "unmounted", change) }
            let what = isMounted ? "mounted at \(mountPoint) again" : "unmounted from \(mountPoint)"
            console.say("\(target): \(Printable.line(what))")
        }
    }

    /// Something is not unmounted yet: its file system writes back what it holds.
    func stillWriting(_ target: String, _ mountPoint: String) {
        turn.withLock { _ in
            let line = "\(target): still writing back to \(Printable.line(mountPoint))"
            if json { emit("warning", FlashRecord.Warning(target: target, message: line)) }
            if console.isTerminal { console.status(line) } else { console.say(line) }
        }
    }

    /// Whether anything may have been written to a target, or it is left as it should be.
    func wasTouched(_ target: String) -> Bool {
        state.withLock { state in
            state.subjects.contains { subject in
                let isDone =
                    subject.result.map { result in
                        result.bytesWritten > 0 || (result.error == nil && result.result != .unchanged)
                    } ?? false
                return subject.name == target && (subject.wasTouched || isDone)
            }
        }
    }

    /// Whether another medium was found where a target was.
    func isChanged(_ target: String) -> Bool {
        state.withLock { $0.subjects.contains { $0.name == target && $0.result?.error?.code == .changed } }
    }

    // MARK: - Events

    func report(_ event: TargetEvent) {
        turn.withLock { _ in tell(event) }
    }

    private func tell(_ event: TargetEvent) {
        let index = event.target
        switch event.event {
        case .phase(let phase): enter(phase, index)
        case .progress(let progress): show(progress, index)
        case .warning(let message):
            let name = name(index)
            if json { emit("warning", FlashRecord.Warning(target: name, message: message)) }
            console.warn(message.contains(name) ? message : "\(name): \(message)")
        case .touched: state.withLock { $0.subjects[index].wasTouched = true }
        case .finished, .alive: break
        }
    }

    /// Says again where the targets stand: a reader of the lines hears of one that waits at least once in ten seconds.
    func heartbeat() {
        turn.withLock { _ in tellOfSilent() }
    }

    private func tellOfSilent() {
        let waiting = state.withLock { state in
            state.subjects.indices.filter { index in
                let subject = state.subjects[index]
                return subject.result == nil && ContinuousClock.now - subject.lastSaid > Self.silence
            }
        }
        for index in waiting {
            if let last = state.withLock({ $0.subjects[index].last }) {
                show(last, index)
                continue
            }
            // A phase that cannot tell how far it is: it waits for the device.
            let (name, phase) = state.withLock { state in
                state.subjects[index].lastSaid = .now
                return (state.subjects[index].name, state.subjects[index].phase ?? .probe)
            }
            if json {
                let progress = FlashProgress(phase: phase, bytesDone: 0, bytesTotal: nil)
                emit("progress", FlashRecord.Progress(target: name, progress, bytesPerSecond: nil))
            } else if !console.isTerminal {
                console.say("\(name): \(phase.rawValue) ...")
            }
        }
    }

    private func enter(_ phase: FlashPhase, _ index: Int) {
        let name = state.withLock { state in
            state.subjects[index].phase = phase
            state.subjects[index].last = nil
            state.subjects[index].progress.restart()
            state.subjects[index].lastSaid = .now
            state.subjects[index].status = "\(phase.rawValue) ..."
            return state.subjects[index].name
        }
        if json { return emit("phase", FlashRecord.Phase(target: name, phase: phase)) }
        console.detail("\(name): \(phase.rawValue)")
        redraw()
    }

    private func show(_ progress: FlashProgress, _ index: Int) {
        // Without a terminal a line now and then is enough; of many targets fewer each.
        let pause = Duration.seconds(isAlone ? 5 : 10)
        let width = console.width - (isAlone ? 0 : nameWidth + 1)
        let (name, line, rate, isDue) = state.withLock { state in
            let now = ContinuousClock.now
            var subject = state.subjects[index]
            subject.last = progress
            let line = subject.progress.line(
                progress.phase.rawValue,
                done: progress.bytesDone,
                total: progress.bytesTotal,
                width: console.isTerminal ? width : .max
            )
            subject.status = line
            let isDue =
                json
                ? subject.lastProgress.map { now - $0 >= Self.interval } ?? true
                : now - subject.lastSaid >= pause
            if isDue {
                subject.lastProgress = now
                subject.lastSaid = now
            }
            state.subjects[index] = subject
            return (subject.name, line, subject.progress.bytesPerSecond, isDue)
        }
        if json {
            guard isDue else { return }
            let bytesPerSecond = rate.map { UInt64($0) }
            emit("progress", FlashRecord.Progress(target: name, progress, bytesPerSecond: bytesPerSecond))
        } else if console.isTerminal {
            redraw()
        } else if isDue {
            console.say("\(name): \(line)")
        }
    }

    /// One line for each target that is not done.
    private func redraw() {
        // Before the engine has the job there is nothing to tell of.
        guard console.isTerminal, !json, state.withLock({ $0.job != nil }) else { return }
        let nameWidth = nameWidth
        console.status(
            state.withLock { state in
                state.subjects.filter { $0.result == nil }.map { subject in
                    let status = subject.status ?? "..."
                    return isAlone ? status : "\(subject.name.padding(to: nameWidth)) \(status)"
                }
            }
        )
    }

    private func name(_ index: Int) -> String { state.withLock { $0.subjects[index].name } }

    private var nameWidth: Int { state.withLock { state in state.subjects.map(\.name.count).max() ?? 0 } }

    // MARK: - The end

    /// The end of one target. Only its first counts.
    ///
    /// - Parameter isSaid: a person is told as well, unless the error ends the command and is told then.
    func finish(_ index: Int, _ result: FlashResult, isSaid: Bool = true) {
        turn.withLock { _ in end(index, result, isSaid: isSaid) }
    }

    private func end(_ index: Int, _ result: FlashResult, isSaid: Bool) {
        let (isFirst, name, job, image) = state.withLock { state in
            let isFirst = state.subjects[index].result == nil
            if isFirst { state.subjects[index].result = result }
            return (isFirst, state.subjects[index].name, state.job, state.image)
        }
        guard isFirst else { return }
        console.clearStatus()
        if json { emit("finished", FlashRecord.Finished(target: name, result)) }
        if let error = result.error {
            if isSaid, !isAlone { console.fail(error, about: name) }
        } else if !json, let job, let image {
            let summary = FlashSummary(job: job, image: image.facts, result: result, path: name, isAlone: isAlone)
            for line in summary.lines(console) { console.say(line) }
        }
        redraw()
    }

    /// What is wrong with the targets so far, as one error; nil when nothing is.
    ///
    /// - Parameter were: what became of those that failed, "not written".
    func failure(were: String, advice: String? = nil) -> FlashlayerError? {
        let results = state.withLock { state in state.subjects.map { ($0.name, $0.result) } }
        return FlashVerdict.worst(of: results, were: were, advice: advice)
    }

    /// Whoever has no end yet was not begun: because of an error that concerns all, or of another target.
    func close(_ failure: FlashlayerError?) {
        guard let failure else { return }
        let results = state.withLock { $0.subjects.map(\.result) }
        let isOfOthers = results.contains { $0 != nil }
        for index in results.indices where results[index] == nil {
            finish(index, isOfOthers ? FlashResult(.cancelled) : FlashResult(failure), isSaid: false)
        }
        console.clearStatus()
    }

    /// Whether a file is one that the job reads, or may be one that a target lies in: it is not replaced.
    func needs(_ file: OutputFile) -> Bool {
        state.withLock { state in
            file.isOne(of: state.image?.files ?? [])
                || state.subjects.contains { $0.result?.error?.code == .holdsSource }
        }
    }

    /// The record of `--report`.
    func report(exitStatus: Int32) throws -> String {
        let record = state.withLock { state in
            FlashReport(
                command: command,
                imageName: state.imageName,
                image: state.image,
                size: state.subjects.lazy.compactMap { $0.result?.imageSize }.first,
                start: start,
                targets: state.subjects.map { .init(path: $0.name, $0.found, $0.result) },
                exitStatus: exitStatus
            )
        }
        return try JSONText.of(record) + "\n"
    }

    private func emit(_ event: String, _ body: some Encodable) {
        Console.answer(FlashRecord.line(event, body))
    }
}
