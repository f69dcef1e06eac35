// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import Synchronization

/// Runs an engine for one job and reports how it ended for each target, whatever becomes of it.
package struct EngineProcess: Sendable {
    /// How long an engine may take to end after its last word, before it is killed.
    private static let exitTime = Duration.milliseconds(500)
    /// How long a user who wants it to stop waits for an answer.
    private static let answerTime = Duration.milliseconds(700)
    /// The engine keeps the time limit itself; whoever is silent beyond it is stuck in the kernel. Seconds.
    private static let grace = 5

    private let executable: String

    /// - Parameter executable: the program that has the engine's subcommand; this very program unless a test says
    ///   otherwise.
    package init(executable: String = "/proc/self/exe") {
        self.executable = executable
    }

    /// Does the job. Cancelling the task stops the engine; the results then say `cancelled`.
    ///
    /// - Returns: always a result for each target: an engine that crashed, or that cannot be ended, is one that failed.
    package func run(
        _ job: FlashJob,
        onErrorLine: @escaping @Sendable (String) -> Void = { _ in },
        onEvent: @escaping @Sendable (TargetEvent) -> Void
    ) async -> [FlashResult] {
        let watch = TargetWatch(job)
        let outcome = OneShot<Void>()
        let processID = OneShot<Int32>()
        let engine = Task {
            try await Worker(executable, arguments: [Engine.subcommand])
                .run(
                    job,
                    events: TargetEvent.self,
                    onErrorLine: onErrorLine,
                    onStart: { processID.set($0) }
                ) { event in
                    if watch.saw(event) { onEvent(event) }
                }
        }
        // Not waited for: neither may keep us when the engine is stuck.
        Task {
            watch.ended(await engine.result)
            outcome.set(())
        }
        let watchdog = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .milliseconds(100))
                watch.giveUpSilent(after: .seconds(job.timeout + Self.grace), onEvent)
                guard watch.isComplete, watch.silence > Self.exitTime else { continue }
                engine.cancel()
                if let pid = processID.current { watch.leftBehind(pid, onEvent) }
                outcome.set(())
            }
        }
        defer { watchdog.cancel() }
        await withTaskCancellationHandler {
            await outcome.value
        } onCancel: {
            engine.cancel()
            Task.detached {
                try await Task.sleep(for: Self.answerTime)
                guard outcome.current == nil else { return }
                watch.giveUpAll(processID.current, onEvent)
                outcome.set(())
            }
        }
        return watch.results
    }
}
