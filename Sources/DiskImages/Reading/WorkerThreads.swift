// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Threads

/// A few threads for work on chunks: digests and comparisons, so that neither reading nor writing waits for them.
package final class WorkerThreads: Sendable {
    private let work = Mailbox<@Sendable () -> Void>(capacity: .max)
    private let threads: [OwnThread]

    /// - Parameter count: SHA-256 runs at 1.9 GB/s a core; two threads keep up with the fastest device that two cores
    ///   can feed.
    package init(count: Int = 2) throws {
        let work = self.work
        threads = try (0..<count).map { _ in
            try OwnThread(named: "check-chunks") {
                while let body = work.take() { body() }
            }
        }
    }

    deinit {
        work.close()
    }

    /// Does it later. What is waiting is bounded by the pool that its chunks come from.
    package func run(_ body: @escaping @Sendable () -> Void) {
        work.put(body)
    }
}

/// Work that is on its way, and the first thing that went wrong with it.
package final class Tasks: Sendable {
    private struct State {
        var open = 0
        var failure: (any Error)?
    }

    private let workers: WorkerThreads
    private let state = Monitor(State())

    package init(on workers: WorkerThreads) {
        self.workers = workers
    }

    package func run(_ body: @escaping @Sendable () throws -> Void) {
        state.update { $0.open += 1 }
        workers.run { [state] in
            do {
                try body()
                state.update { $0.open -= 1 }
            } catch {
                state.update { state in
                    state.open -= 1
                    state.failure = state.failure ?? error
                }
            }
        }
    }

    /// Waits until all of it is done.
    ///
    /// - Throws: the first failure.
    package func finish() throws {
        let failure = state.wait { state -> (any Error)?? in state.open == 0 ? .some(state.failure) : nil }
        if let failure { throw failure }
    }
}
