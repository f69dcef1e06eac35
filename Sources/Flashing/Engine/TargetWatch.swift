// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import Synchronization

/// What is known of a running engine and its targets; decides for those that it says nothing more about.
final class TargetWatch: Sendable {
    private struct Subject {
        var result: FlashResult?
        var lastEvent = ContinuousClock.now
        var wasTouched = false
        var phase: FlashPhase?
    }

    private let job: FlashJob
    private let subjects: Mutex<[Subject]>

    init(_ job: FlashJob) {
        self.job = job
        subjects = Mutex(job.targets.map { _ in Subject() })
    }

    var isComplete: Bool { subjects.withLock { $0.allSatisfy { $0.result != nil } } }

    /// Since the last word about any target.
    var silence: Duration {
        subjects.withLock { subjects in
            subjects.map { ContinuousClock.now - $0.lastEvent }.min() ?? .zero
        }
    }

    /// For each target; complete once `ended` or one of the others has decided.
    var results: [FlashResult] {
        subjects.withLock { subjects in
            subjects.map { $0.result ?? FlashResult(FlashlayerError(.fault, "the engine said nothing of it")) }
        }
    }

    /// - Returns: false when the target has its verdict already, and nobody wants to hear more.
    func saw(_ event: TargetEvent) -> Bool {
        subjects.withLock { subjects in
            guard subjects.indices.contains(event.target), subjects[event.target].result == nil else { return false }
            subjects[event.target].lastEvent = .now
            switch event.event {
            case .finished(let result): subjects[event.target].result = result
            case .touched: subjects[event.target].wasTouched = true
            case .phase(let phase): subjects[event.target].phase = phase
            case .progress, .warning, .alive: break
            }
            return true
        }
    }

    /// Targets that nothing was heard of for too long: their threads wait in the kernel.
    func giveUpSilent(after limit: Duration, _ onEvent: (TargetEvent) -> Void) {
        let given = decide { subject, path in
            // udev has its own time limit.
            let limit = subject.phase == .settle ? limit + .seconds(15) : limit
            guard ContinuousClock.now - subject.lastEvent > limit else { return nil }
            return FlashlayerError(
                .notResponding,
                "\(path) does not answer any more, and what talks to it waits in the kernel",
                advice: "pull the device out; what is on it is not complete"
            )
        }
        let results = self.results
        for index in given { onEvent(TargetEvent(target: index, .finished(results[index]))) }
    }

    /// Somebody wants it to stop, and it does not.
    func giveUpAll(_ pid: Int32?, _ onEvent: (TargetEvent) -> Void) {
        let process = pid.map { "process \($0)" } ?? "the engine"
        for index in decide({ _, _ in FlashlayerError(.interrupted, "interrupted") }) {
            let text = "\(process) still waits for the device, and was left behind: it ends by itself when it can"
            onEvent(TargetEvent(target: index, .warning(text)))
        }
    }

    /// All targets have their verdicts, and the engine does not end.
    func leftBehind(_ pid: Int32, _ onEvent: (TargetEvent) -> Void) {
        for (index, result) in results.enumerated()
        where [.notResponding, .timeout].contains(result.error?.code) {
            let text = "process \(pid) still waits in the kernel for the device, and was left behind"
            onEvent(TargetEvent(target: index, .warning(text)))
        }
    }

    func ended(_ ending: Result<Worker.Ending, any Error>) {
        decide { _, path in
            switch ending {
            case .success(.ended(let status)):
                FlashlayerError(.fault, "the engine for \(path) ended with status \(status) and said nothing")
            case .success(.abandoned(let processID)):
                FlashlayerError(
                    .notResponding,
                    "\(path) does not answer, and process \(processID) waits for it in the kernel: it was left behind",
                    advice: "pull the device out; what is on it is not complete"
                )
            case .failure(let error): FlashlayerError(wrapping: error)
            }
        }
    }

    /// - Parameter error: for a target without a verdict, why it failed; nil to wait on.
    /// - Returns: the targets that got one.
    @discardableResult
    private func decide(_ error: (Subject, String) -> FlashlayerError?) -> [Int] {
        subjects.withLock { subjects in
            subjects.indices.filter { index in
                guard subjects[index].result == nil, let error = error(subjects[index], job.targets[index].path) else {
                    return false
                }
                var result = FlashResult(error)
                // How much it was is not known; that it was something is.
                result.holdsImage = subjects[index].phase == .grow
                if subjects[index].wasTouched { result.bytesWritten = max(1, result.bytesWritten) }
                subjects[index].result = result
                return true
            }
        }
    }
}
