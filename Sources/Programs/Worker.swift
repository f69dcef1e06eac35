// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Subprocess
import SystemPackage

/// A child of ours that does what can hang or crash: the appliance, or all I/O of a target.
///
/// The first line on its standard input is the job; it answers with one JSON object a line on standard output. Its
/// standard input stays open: `cancel` or end of file stops it cleanly. It has a process group of its own, so that a
/// Ctrl-C at the terminal reaches only us. One that does not end is killed, and one that even SIGKILL does not end,
/// because it is stuck in the kernel, is abandoned: the caller goes on and reports.
package struct Worker: Sendable {
    package enum Ending: Sendable, Equatable {
        /// The exit status, or 128 + the signal.
        case ended(Int32)
        /// Still there after SIGKILL: it waits in the kernel for a device.
        case abandoned(processID: Int32)
    }

    private let executable: String
    private let arguments: [String]
    private let environment: [String: String?]
    private let grace: Duration

    /// - Parameter grace: how long it may take to end by itself after it was asked to.
    package init(
        _ executable: String,
        arguments: [String],
        environment: [String: String?] = [:],
        grace: Duration = .seconds(10)
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.grace = grace
    }

    /// Gives the worker its job and hands on what it says, until it ends.
    ///
    /// Cancelling the calling task asks the worker to stop; events go on until it has.
    ///
    /// - Parameter onEvent: called in order, never twice at once. Lines that are no event are faults of the worker and
    ///   end the run.
    package func run<Job: Encodable & Sendable, Event: Decodable & Sendable>(
        _ job: Job,
        events: Event.Type,
        onErrorLine: @escaping @Sendable (String) -> Void = { _ in },
        onStart: @escaping @Sendable (_ processID: Int32) -> Void = { _ in },
        onEvent: @escaping @Sendable (Event) async throws -> Void
    ) async throws -> Ending {
        Self.ignoreBrokenPipes
        let line = try WorkerLine.encode(WorkerJob(version: Version.workerProtocol, job: job))
        let (requests, requester) = AsyncStream.makeStream(of: Void.self)
        let processID = OneShot<Int32>()
        let outcome = OneShot<Swift.Result<Ending, any Error>>()

        // Not a child task: an abandoned worker must not keep us.
        Task.detached {
            do {
                let status = try await execute(line: line, requests: requests, onErrorLine: onErrorLine) { pid in
                    processID.set(pid)
                    onStart(pid)
                } onLine: { text in
                    try await onEvent(try WorkerLine.decode(events, from: text))
                }
                outcome.set(.success(.ended(status)))
            } catch let error as SubprocessError {
                outcome.set(.failure(FlashlayerError(.unavailable, "cannot run \(executable): \(error)")))
            } catch {
                outcome.set(.failure(error))
            }
        }
        return try await withTaskCancellationHandler {
            try await outcome.value.get()
        } onCancel: {
            requester.finish()
            Task.detached {
                try await Task.sleep(for: grace)
                // On a busy machine it may not even have started yet.
                while outcome.current == nil, processID.current == nil { try await Task.sleep(for: .milliseconds(50)) }
                guard outcome.current == nil, let pid = processID.current else { return }
                kill(-pid, SIGKILL)
                try await Task.sleep(for: .seconds(2))
                if Self.isAlive(pid) { outcome.set(.success(.abandoned(processID: pid))) }
                // It has ended; on a busy machine the news may take longer, but nobody waits for ever.
                try await Task.sleep(for: .seconds(10))
                outcome.set(.success(.ended(128 + SIGKILL)))
            }
        }
    }

    /// Writing to a worker that has died must not end us: the failed write says it. Once for the process.
    private static let ignoreBrokenPipes: Void = { signal(SIGPIPE, SIG_IGN) }()

    /// Whether any thread of a process has not ended: when one is stuck in the kernel, the process as a whole may
    /// already be shown as a zombie. See proc(5).
    private static func isAlive(_ pid: Int32) -> Bool {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
        return threads.contains { thread in
            guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/task/\(thread)/stat") else {
                return false
            }
            // The name may hold anything, parentheses too: the state follows the last one.
            let fields = String(decoding: data, as: UTF8.self).split(separator: ")").last?.split(separator: " ")
            return fields?.first.map { $0 != "Z" && $0 != "X" } ?? false
        }
    }

    private func execute(
        line: String,
        requests: AsyncStream<Void>,
        onErrorLine: @escaping @Sendable (String) -> Void,
        onStart: @escaping @Sendable (Int32) -> Void,
        onLine: @escaping @Sendable (String) async throws -> Void
    ) async throws -> Int32 {
        var options = PlatformOptions()
        options.processGroupID = 0
        let changes = Dictionary(
            uniqueKeysWithValues: environment.compactMap { name, value in
                Environment.Key(rawValue: name).map { ($0, value) }
            }
        )
        let result = try await Subprocess.run(
            .path(FilePath(executable)),
            arguments: Arguments(arguments),
            environment: .inherit.updating(changes),
            platformOptions: options,
            input: .inputWriter,
            output: .sequence,
            error: .sequence
        ) { execution in
            onStart(execution.processIdentifier.value)
            _ = try await execution.standardInputWriter.write(line + "\n")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await text in execution.standardError.strings() { onErrorLine(text.trimmingNewline()) }
                }
                group.addTask {
                    for await _ in requests {}
                    // Ended by the worker, not by us: nothing to ask for.
                    if Task.isCancelled { return }
                    // A worker that has ended already has closed its end; there is nothing left to ask.
                    _ = try? await execution.standardInputWriter.write("cancel\n")
                    try? await execution.standardInputWriter.finish()
                }
                do {
                    // No limit: a long line is a long message, never a reason to lose it.
                    for try await text in execution.standardOutput.strings(bufferingPolicy: .unbounded) {
                        try await onLine(text.trimmingNewline())
                    }
                } catch {
                    kill(-execution.processIdentifier.value, SIGKILL)
                    group.cancelAll()
                    throw error
                }
                group.cancelAll()
            }
        }
        return result.terminationStatus.exitStatus
    }
}
