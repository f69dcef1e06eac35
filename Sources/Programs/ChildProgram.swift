// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Subprocess
import SystemPackage
import Threads

/// A program whose output a thread of ours reads while it runs, and that does not outlive us: its standard input ends
/// when the last reference goes, or when this process dies, however it dies.
package final class ChildProgram: Sendable {
    package enum Input: Sendable {
        /// This, and then the end.
        case text(String)
        /// Nothing, and the end only when nobody holds the program any more.
        case held
    }

    /// The reading end of its standard output. It belongs to whoever made the program.
    package let output: Int32
    /// Our end of its standard input; -1 when it has none.
    private let input: Int32
    private let ending: Ending

    private final class Ending: Sendable {
        struct State {
            var processID: Int32?
            var isStopped = false
            var result: Swift.Result<Program.Outcome, FlashlayerError>?
        }

        let state = Monitor(State())
    }

    /// Starts it, in a process group of its own.
    ///
    /// - Throws: `fault` when the system gives no descriptors.
    package init(_ program: Program, _ arguments: [String], input: Input) throws {
        let output = try Self.pair()
        let stdin = try Self.pair()
        self.output = output.ours
        switch input {
        case .text(let text):
            // So little that it never waits for the program to read it.
            _ = unsafe send(stdin.ours, text, text.utf8.count, Int32(MSG_NOSIGNAL))
            close(stdin.ours)
            self.input = -1
        case .held:
            self.input = stdin.ours
        }
        let ending = Ending()
        self.ending = ending
        Task.detached {
            let result = await Self.run(program, arguments, input: stdin.theirs, output: output.theirs) { pid in
                let isStopped = ending.state.update { state in
                    state.processID = pid
                    return state.isStopped
                }
                if isStopped { kill(-pid, SIGTERM) }
            }
            ending.state.update {
                $0.result = result
                $0.processID = nil
            }
        }
    }

    deinit {
        if input >= 0 { close(input) }
    }

    /// How it ended; nil while it runs. The output is not in it.
    ///
    /// - Throws: `unavailable` when it could not be started.
    package var outcome: Program.Outcome? {
        get throws { try ending.state.update { try $0.result?.get() } }
    }

    /// Blocks until it has ended.
    package func waitForEnd() throws -> Program.Outcome {
        try ending.state.wait { $0.result }.get()
    }

    /// Asks it to end, and does not wait.
    package func stop() {
        let pid = ending.state.update { state in
            state.isStopped = true
            return state.processID
        }
        if let pid { kill(-pid, SIGTERM) }
    }

    /// Two ends that no other child inherits, not even one that is started in this moment: pipe(2) cannot say so.
    private static func pair() throws -> (ours: Int32, theirs: Int32) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw FlashlayerError.system("make a pair of sockets", .current, code: .fault)
        }
        return (ends[0], ends[1])
    }

    private static func run(
        _ program: Program,
        _ arguments: [String],
        input: Int32,
        output: Int32,
        onStart: @escaping @Sendable (Int32) -> Void
    ) async -> Swift.Result<Program.Outcome, FlashlayerError> {
        var options = PlatformOptions()
        options.processGroupID = 0
        do {
            let result = try await Subprocess.run(
                .path(FilePath(program.path)),
                arguments: Arguments(arguments),
                platformOptions: options,
                input: .fileDescriptor(FileDescriptor(rawValue: input), closeAfterSpawningProcess: true),
                output: .fileDescriptor(FileDescriptor(rawValue: output), closeAfterSpawningProcess: true),
                error: .sequence
            ) { execution in
                onStart(execution.processIdentifier.value)
                var tail = Tail(limit: 64 << 10)
                for try await line in execution.standardError.strings() { tail.append(line.trimmingNewline()) }
                return tail.text
            }
            let status = result.terminationStatus.exitStatus
            return .success(Program.Outcome(status: status, output: "", errors: result.closureResult))
        } catch {
            return .failure(FlashlayerError(.unavailable, "cannot run \(program.path): \(error)"))
        }
    }
}
