// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Synchronization

/// Runs blocking work that changes nothing, such as reading, on a thread of its own, and stops waiting for it when the
/// task is cancelled. The thread then runs on to its end, and its result is dropped.
///
/// - Parameter name: at most 15 bytes, shown by `ps -L` and debuggers.
/// - Throws: `CancellationError`, or what the work throws.
package func onAbandonableThread<Result: Sendable>(
    named name: String,
    _ work: @escaping @Sendable () throws -> Result
) async throws -> Result {
    let answer = OneAnswer<Result>()
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            answer.expect(continuation)
            if Task.isCancelled { answer.give(.failure(CancellationError())) }
            do {
                _ = try OwnThread(named: name) { answer.give(Swift.Result { try work() }) }
            } catch {
                answer.give(.failure(error))
            }
        }
    } onCancel: {
        answer.give(.failure(CancellationError()))
    }
}

/// Resumes a continuation with whatever comes first.
private final class OneAnswer<Value: Sendable>: Sendable {
    private let continuation = Mutex<CheckedContinuation<Value, any Error>?>(nil)

    func expect(_ continuation: CheckedContinuation<Value, any Error>) {
        self.continuation.withLock { $0 = continuation }
    }

    /// Before anyone expects it, an answer is lost: the caller asks for cancellation again after `expect`.
    func give(_ result: Swift.Result<Value, any Error>) {
        let taken = continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
        taken?.resume(with: result)
    }
}
