// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Dispatch
import Glibc
package import Model
import Synchronization

/// Turns SIGINT, SIGTERM and SIGHUP into the cancellation of one task, and remembers which it was.
///
/// The second signal ends the process at once, and the programs that it runs; workers see their standard input end, and
/// clean up by themselves.
package final class Interruption: Sendable {
    private final class State: Sendable {
        let received = Mutex<Int32?>(nil)
        let cancel = Mutex<(@Sendable () -> Void)?>(nil)

        func receive(_ number: Int32) {
            let isFirst = received.withLock { first in
                defer { first = first ?? number }
                return first == nil
            }
            guard isFirst else {
                Program.killAll()
                _exit(number == SIGINT ? 130 : 143)
            }
            Interruption.latest.withLock { $0 = number }
            cancel.withLock { $0 }?()
        }
    }

    private let state = State()
    // SAFETY: the sources are made here and only kept alive; nothing calls them again.
    private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

    package init() {
        let state = self.state
        unsafe sources = [SIGINT, SIGTERM, SIGHUP].compactMap { number in
            let previous = signal(number, SIG_IGN)
            // nohup(1) means it: whoever is to survive the end of the terminal does.
            if number == SIGHUP, unsafe unsafeBitCast(previous, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self) {
                return nil
            }
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { @Sendable in state.receive(number) }
            source.resume()
            return source
        }
    }

    /// Runs `body` in a task that the signals cancel.
    ///
    /// - Parameter onSignal: is called when the first signal comes.
    /// - Throws: what `body` throws; when a signal came, `interrupted` or `terminated` instead of a plain
    ///   cancellation.
    package func run<Result: Sendable>(
        onSignal: @escaping @Sendable () -> Void = {},
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let task = Task { try await body() }
        state.cancel.withLock {
            $0 = {
                onSignal()
                task.cancel()
            }
        }
        if error != nil { task.cancel() }
        do {
            return try await task.value
        } catch is CancellationError {
            throw error ?? FlashlayerError(.interrupted, "interrupted")
        } catch let failure as FlashlayerError where failure.code == .interrupted {
            throw Self.named(failure)
        }
    }

    /// An interruption by its own name: whoever was interrupted does not know by which signal. Signals reach the process,
    /// and not one of its tasks.
    package static func named(_ error: FlashlayerError) -> FlashlayerError {
        guard error.code == .interrupted, let number = latest.withLock({ $0 }), number != SIGINT else { return error }
        return FlashlayerError(.terminated, error.message, advice: error.advice, offset: error.offset)
    }

    private static let latest = Mutex<Int32?>(nil)

    /// What a signal means as an error; nil when none came.
    package var error: FlashlayerError? {
        state.received.withLock { $0 }.map {
            $0 == SIGINT ? FlashlayerError(.interrupted, "interrupted") : FlashlayerError(.terminated, "terminated")
        }
    }
}
