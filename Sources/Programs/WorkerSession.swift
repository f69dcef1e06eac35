// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Synchronization
import Threads

/// The worker's own side: its job, its events, and the wish to stop.
package final class WorkerSession: Sendable {
    private let cancelled = Atomic<Bool>(false)
    private let onCancel = Mutex<[@Sendable () -> Void]>([])
    private let output = Mutex<Void>(())

    package init() {
        // A parent that has gone shows as EPIPE, which `emit` ignores: standard input says the same more clearly.
        signal(SIGPIPE, SIG_IGN)
    }

    /// True once the parent said `cancel`, or is gone.
    package var isCancelled: Bool { cancelled.load(ordering: .acquiring) }

    /// - Throws: `interrupted` once the parent wants the worker to stop.
    package func checkCancelled() throws {
        if isCancelled { throw FlashlayerError(.interrupted, "interrupted") }
    }

    /// Runs `action` when the parent wants the worker to stop; at once if it already does.
    package func whenCancelled(_ action: @escaping @Sendable () -> Void) {
        onCancel.withLock { $0.append(action) }
        if isCancelled { action() }
    }

    /// Reads the first line of standard input, and from then on watches it for `cancel` or its end.
    ///
    /// - Throws: `usage` when the line is no job of this version: nobody starts a worker by hand.
    package func receive<Job: Decodable & Sendable>(_ type: Job.Type) throws -> Job {
        guard let line = readLine() else {
            throw FlashlayerError(.usage, "this is a worker of flashlayer; it is not started by hand")
        }
        let job = try WorkerLine.decode(WorkerJob<Job>.self, from: line)
        guard job.version == Version.workerProtocol else {
            throw FlashlayerError(
                .fault,
                "flashlayer and its worker are of different versions",
                advice: "install both from one build"
            )
        }
        _ = try OwnThread(named: "cancel-watch") { [self] in
            while let line = readLine(), line != "cancel" {}
            cancelled.store(true, ordering: .releasing)
            for action in onCancel.withLock({ $0 }) { action() }
        }
        return job.job
    }

    /// Says that the job was understood, to those who count the time from there.
    package func emitReady() {
        emit(["ready": true])
    }

    /// Writes one event. Never fails: a parent that does not listen is told by the exit status.
    package func emit(_ event: some Encodable) {
        guard let line = try? WorkerLine.encode(event) else { return }
        output.withLock { _ in
            unsafe Array((line + "\n").utf8).withUnsafeBytes { bytes in
                var rest = unsafe bytes[...]
                while unsafe !rest.isEmpty {
                    // SAFETY: the slice lies inside the array, which is alive for the whole closure.
                    let count = unsafe write(1, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                    if count < 0 && errno == EINTR { continue }
                    guard count > 0 else { return }
                    unsafe rest = rest.dropFirst(count)
                }
            }
        }
    }
}
