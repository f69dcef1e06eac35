// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Station
import StationService
import Synchronization

/// Hands that do what the test says, when it says it, and note what they were asked to do.
final class PretendHands: StationHands {
    private struct State {
        var asked: [String] = []
        var verdicts: [String: GateVerdict] = [:]
        var holding: Set<String> = []
        var ends: [String: CheckedContinuation<JobReport, Never>] = [:]
        var isDeaf = false
    }

    private let state = Mutex(State())

    var asked: [String] { state.withLock { $0.asked } }

    func refuse(_ path: String, _ verdict: GateVerdict) { state.withLock { $0.verdicts[path] = verdict } }
    func hold(_ path: String) { _ = state.withLock { $0.holding.insert(path) } }
    /// An engine that does not end when it is told to.
    func beDeaf() { state.withLock { $0.isDeaf = true } }

    func end(_ path: String, _ outcome: JobOutcome) {
        state.withLock { $0.ends.removeValue(forKey: path) }?.resume(returning: JobReport(outcome))
    }

    func judge(_ medium: Medium, for image: PreparedImage) async -> GateVerdict {
        state.withLock {
            $0.asked.append("judge \(medium.path)")
            return $0.verdicts[medium.path] ?? .passed
        }
    }

    func holds(_ image: PreparedImage, _ medium: Medium, onProgress: @escaping @Sendable (JobProgress) -> Void) async
        -> Bool
    {
        state.withLock {
            $0.asked.append("compare \(medium.path)")
            return $0.holding.contains(medium.path)
        }
    }

    func write(_ image: PreparedImage, to medium: Medium, onProgress: @escaping @Sendable (JobProgress) -> Void) async
        -> JobReport
    {
        onProgress(JobProgress(.writing, done: 1 << 20, total: 8 << 20))
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock {
                    $0.asked.append("write \(medium.path)")
                    $0.ends[medium.path] = continuation
                }
                if Task.isCancelled { stop(medium.path) }
            }
        } onCancel: {
            stop(medium.path)
        }
    }

    private func stop(_ path: String) {
        guard !state.withLock({ $0.isDeaf }) else { return }
        end(path, .cancelled)
    }

    func eject(_ medium: Medium) async { state.withLock { $0.asked.append("eject \(medium.path)") } }
}
