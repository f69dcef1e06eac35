// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
package import Model
import Subprocess
import Synchronization
import SystemPackage

/// Another program, found once and run as often as needed.
package struct Program: Sendable {
    package let path: String

    /// Looks in PATH and then where administrators' programs live, which an ordinary user's PATH leaves out.
    ///
    /// - Parameter debianPackage: named in the error, with the command that installs it.
    /// - Throws: `unavailable`.
    package init(_ name: String, debianPackage: String) throws {
        guard let found = Self.folders.map({ "\($0)/\(name)" }).first(where: { Self.isExecutable($0) }) else {
            throw FlashlayerError(
                .unavailable,
                "the program '\(name)' is not installed",
                advice: "apt-get install \(debianPackage)"
            )
        }
        self.path = found
    }

    /// Where programs are looked for.
    package static var folders: [String] {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return path.split(separator: ":").map(String.init) + ["/usr/local/sbin", "/usr/sbin", "/sbin"]
    }

    /// A program at a path that is known, such as one of our own.
    package init(at path: String) {
        self.path = path
    }

    package static func isExecutable(_ path: String) -> Bool {
        unsafe access(path, X_OK) == 0
    }

    /// What a finished program left.
    package struct Outcome: Sendable {
        /// The exit status, or 128 + the signal that ended it.
        package let status: Int32
        package let output: String
        package let errors: String
    }

    /// Runs the program to its end, in a process group of its own. Cancelling the task ends it: SIGTERM, then SIGKILL.
    ///
    /// - Parameters:
    ///   - environment: added to this process's own; a nil value removes the name.
    ///   - onErrorLine: is given each line of standard error as it comes.
    /// - Returns: the outcome, whatever the status; up to 64 MiB of output and the last 64 KiB of errors.
    package func outcome(
        _ arguments: [String],
        environment: [String: String?] = [:],
        workingDirectory: String? = nil,
        onErrorLine: (@Sendable (String) -> Void)? = nil
    ) async throws -> Outcome {
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [
            .send(signal: .terminate, toProcessGroup: true, allowedDurationToNextStep: .seconds(10)),
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1)),
        ]
        let changes = Dictionary(
            uniqueKeysWithValues: environment.compactMap { name, value in
                Environment.Key(rawValue: name).map { ($0, value) }
            }
        )
        do {
            let result = try await Subprocess.run(
                .path(FilePath(path)),
                arguments: Arguments(arguments),
                environment: .inherit.updating(changes),
                workingDirectory: workingDirectory.map { FilePath($0) },
                platformOptions: options,
                input: .none,
                output: .string(limit: 64 << 20),
                error: .sequence
            ) { execution in
                let group = execution.processIdentifier.value
                Self.running.withLock { _ = $0.insert(group) }
                defer { Self.running.withLock { _ = $0.remove(group) } }
                var tail = Tail(limit: 64 << 10)
                for try await line in execution.standardError.strings() {
                    let line = line.trimmingNewline()
                    tail.append(line)
                    onErrorLine?(line)
                }
                return tail.text
            }
            try Task.checkCancellation()
            return Outcome(
                status: result.terminationStatus.exitStatus,
                output: result.standardOutput,
                errors: result.closureResult
            )
        } catch let error as SubprocessError {
            throw FlashlayerError(.unavailable, "cannot run \(path): \(error)")
        }
    }

    /// Process groups of the programs that run now.
    private static let running = Mutex<Set<Int32>>([])

    /// Ends all of them, without a chance to clean up: for a process that is about to end itself.
    static func killAll() {
        for group in running.withLock({ $0 }) { kill(-group, SIGKILL) }
    }

    /// Runs the program and takes nothing but success.
    ///
    /// - Parameter failure: the code of the error when its status is not 0; its last lines stand in the message.
    /// - Returns: its standard output.
    @discardableResult
    package func run(
        _ arguments: [String],
        environment: [String: String?] = [:],
        workingDirectory: String? = nil,
        failure: ErrorCode = .buildFailed,
        onErrorLine: (@Sendable (String) -> Void)? = nil
    ) async throws -> String {
        let outcome = try await outcome(
            arguments,
            environment: environment,
            workingDirectory: workingDirectory,
            onErrorLine: onErrorLine
        )
        guard outcome.status == 0 else {
            let lastLines = outcome.errors.split(separator: "\n").suffix(5).joined(separator: "\n  ")
            throw FlashlayerError(
                failure,
                "\(name) ended with status \(outcome.status)\(lastLines.isEmpty ? "" : ":\n  \(lastLines)")"
            )
        }
        return outcome.output
    }

    private var name: String { path.split(separator: "/").last.map(String.init) ?? path }
}

extension TerminationStatus {
    /// As a shell counts: the status, or 128 + the signal.
    var exitStatus: Int32 {
        switch self {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    }
}

extension String {
    func trimmingNewline() -> String {
        var line = self[...]
        while let last = line.last, last.isNewline { line = line.dropLast() }
        return String(line)
    }
}

/// The last lines of a stream, bounded in bytes.
struct Tail {
    private var lines: [String] = []
    private var size = 0
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
    }

    mutating func append(_ line: String) {
        lines.append(line)
        size += line.utf8.count + 1
        while size > limit, lines.count > 1 { size -= lines.removeFirst().utf8.count + 1 }
    }

    var text: String { lines.joined(separator: "\n") }
}
