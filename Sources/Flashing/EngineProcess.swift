// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import Synchronization

/// Runs an engine for one job and reports how it ended, whatever becomes of it.
package struct EngineProcess: Sendable {
    private let executable: String

    /// A flush may take as long as the device's cache is large; see the timeout of a job for everything else.
    private static let flushTimeout = Duration.seconds(600)

    /// How long an engine may take to end after its last word.
    private static let exitTime = Duration.seconds(3)

    /// - Parameter executable: the program that has the engine's subcommand; this very program unless a test says
    ///   otherwise.
    package init(executable: String = "/proc/self/exe") {
        self.executable = executable
    }

    /// Does the job. Cancelling the task stops the engine; the result then says `cancelled`.
    ///
    /// - Returns: always a result: an engine that crashed, or that cannot be ended, is one that failed.
    package func run(
        _ job: FlashJob,
        onErrorLine: @escaping @Sendable (String) -> Void = { _ in },
        onEvent: @escaping @Sendable (TargetEvent) -> Void
    ) async -> [FlashResult] {
        let watch = Watch()
        let outcome = OneShot<FlashResult>()
        let engine = Task {
            try await Worker(executable, arguments: [Engine.subcommand])
                .run(job, events: TargetEvent.self, onErrorLine: onErrorLine) { event in
                    watch.saw(event.event)
                    onEvent(event)
                }
        }
        // Not waited for: neither may keep us when the engine is stuck.
        Task { outcome.set(watch.result(of: await engine.result, job, wasCancelled: engine.isCancelled)) }
        let watchdog = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .milliseconds(500))
                if let result = watch.finished, watch.silence > Self.exitTime {
                    // It has said all, and waits in the kernel for a device on its way out.
                    outcome.set(result)
                    return
                }
                let limit = watch.mayBeSilent ? Self.flushTimeout : .seconds(job.timeout + 10)
                if watch.silence > limit {
                    outcome.set(watch.hangs(job))
                    engine.cancel()
                    return
                }
            }
        }
        defer { watchdog.cancel() }
        return await withTaskCancellationHandler {
            [await outcome.value]
        } onCancel: {
            engine.cancel()
        }
    }

    /// What is known of a running engine.
    private final class Watch: Sendable {
        private struct State {
            var result: FlashResult?
            var phase: FlashPhase?
            var lastEvent = ContinuousClock.now
        }

        private let state = Mutex(State())

        func saw(_ event: FlashEvent) {
            state.withLock { state in
                state.lastEvent = .now
                switch event {
                case .finished(let result): state.result = result
                case .phase(let phase): state.phase = phase
                case .progress, .warning: break
                }
            }
        }

        /// Whether the engine is in a phase that flushes, during which it hears nothing of the device.
        var mayBeSilent: Bool {
            switch state.withLock({ $0.phase }) {
            case .flush, .zero, .commit, .settle: true
            case nil, .probe, .compare, .write, .verify, .repair: false
            }
        }

        var silence: Duration { state.withLock { ContinuousClock.now - $0.lastEvent } }

        var finished: FlashResult? { state.withLock { $0.result } }

        func hangs(_ job: FlashJob) -> FlashResult {
            FlashResult(
                FlashlayerError(
                    .timeout,
                    "\(job.targets[0].path) does not answer any more",
                    advice: "pull it out; what is on it is not complete"
                )
            )
        }

        func result(
            of ending: Result<Worker.Ending, any Error>,
            _ job: FlashJob,
            wasCancelled: Bool
        ) -> FlashResult {
            let path = job.targets[0].path
            switch ending {
            case .success(.ended(let status)):
                if let said = finished { return said }
                if wasCancelled { return FlashResult(FlashlayerError(.interrupted, "\(path) did not answer in time")) }
                return FlashResult(
                    FlashlayerError(.fault, "the engine for \(path) ended with status \(status) and said nothing")
                )
            case .success(.abandoned(let processID)):
                return FlashResult(
                    FlashlayerError(
                        .notResponding,
                        "\(path) does not answer, and process \(processID) waits for it in the kernel: it was left behind",
                        advice: "pull the device out; what is on it is not complete"
                    )
                )
            case .failure(let error):
                return FlashResult(FlashlayerError(wrapping: error))
            }
        }
    }
}
