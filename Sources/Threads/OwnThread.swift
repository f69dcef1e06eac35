// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model
import Synchronization

/// Runs blocking work on a thread of its own, so that a slow disk or library never takes one of the few threads of
/// Swift's cooperative pool.
///
/// - Parameter name: at most 15 bytes, shown by `ps -L` and debuggers.
package func onOwnThread<Result: Sendable>(
    named name: String,
    _ work: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        do {
            _ = try OwnThread(named: name) { continuation.resume(with: Swift.Result { try work() }) }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

/// A detached POSIX thread that tells when it has ended.
package final class OwnThread: Sendable {
    private let ended = Gate()

    /// Starts at once.
    ///
    /// - Throws: `FlashlayerError` when the system gives no thread.
    package init(named name: String, _ work: @escaping @Sendable () -> Void) throws {
        let ended = self.ended
        let body = unsafe Unmanaged.passRetained(
            Body {
                unsafe flashlayer_name_thread(name)
                work()
                ended.open()
            }
        )
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        // SAFETY: the body is retained until the thread has taken it over; nothing else reads the pointer.
        let failure = unsafe pthread_create(
            &thread,
            &attributes,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                body.run()
                return nil
            },
            body.toOpaque()
        )
        guard failure == 0 else {
            unsafe body.release()
            throw FlashlayerError.system("start a thread", Errno(failure), code: .fault)
        }
    }

    /// Blocks until the work has returned.
    package func join() {
        ended.wait()
    }

    private final class Body: Sendable {
        private let work: @Sendable () -> Void

        init(_ work: @escaping @Sendable () -> Void) {
            self.work = work
        }

        func run() {
            work()
        }
    }
}
