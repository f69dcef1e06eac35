// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model
import Threads

/// A child of ours that one thread talks to, and never waits for longer than it wants: a job goes in, lines come out.
/// When the time is up it is killed; one that is stuck in the kernel is left behind, and only its remains are waited
/// for, by a thread of its own. `Worker` is for jobs that have no such limit. See posix_spawn(3).
package enum BoundedChild {
    package enum Ending: Sendable, Equatable {
        /// It has said all it had to say, or nobody wants to hear more.
        case done
        case outOfTime
        /// Whoever asked does not want to wait any more.
        case abandoned
    }

    /// How long it may take to start: that says nothing of what it is to look at, and a busy machine takes its time.
    private static let startTime = Duration.seconds(30)

    /// Runs a program with a job, as `Worker` does, and hands on its lines but for the first one, which says that it is
    /// ready. From then on it may be silent for so long at a time, and four times as long in all.
    ///
    /// - Parameters:
    ///   - isAbandoned: asked ten times in a second whether to wait no longer.
    ///   - onLine: false when no more lines are wanted.
    /// - Throws: `fault`, `unavailable` when it cannot be started; what `onLine` throws.
    package static func run<Job: Encodable & Sendable>(
        _ executable: String,
        arguments: [String],
        job: Job,
        patience: Duration,
        isAbandoned: (() -> Bool)? = nil,
        onLine: (String) throws -> Bool
    ) throws -> Ending {
        let line = try WorkerLine.encode(WorkerJob(version: Version.workerProtocol, job: job)) + "\n"
        let input = try pair()
        let output: (ours: Int32, theirs: Int32)
        do {
            output = try pair()
        } catch {
            close(input.ours)
            close(input.theirs)
            throw error
        }
        defer {
            close(input.ours)
            close(output.ours)
        }
        let started = Result { try spawn(executable, arguments, input: input.theirs, output: output.theirs) }
        close(input.theirs)
        close(output.theirs)
        let pid = try started.get()
        // Closing its input, which the `defer` above does, ends one that is in command of itself; this ends the others.
        defer { end(pid) }
        guard send(line, to: input.ours, until: .now + startTime) else { return .outOfTime }
        return try read(output.ours, patience, isAbandoned, onLine)
    }

    private static func send(_ line: String, to end: Int32, until deadline: ContinuousClock.Instant) -> Bool {
        var rest = Array(line.utf8)[...]
        while !rest.isEmpty {
            let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.send(end, $0.baseAddress, $0.count, flags) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN || errno == EINTR {
                guard wait(for: end, POLLOUT, until: deadline) else { return false }
            } else {
                // It is gone; what it has said so far is read all the same.
                return true
            }
        }
        return true
    }

    private static func read(
        _ end: Int32,
        _ patience: Duration,
        _ isAbandoned: (() -> Bool)?,
        _ onLine: (String) throws -> Bool
    ) throws -> Ending {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var isReady = false
        var last = ContinuousClock.now + startTime
        var deadline = last
        while true {
            if let isAbandoned, isAbandoned() { return .abandoned }
            let limit = min(deadline, last)
            let turn = isAbandoned == nil ? limit : min(limit, .now + .milliseconds(100))
            guard wait(for: end, POLLIN, until: turn) else {
                if ContinuousClock.now >= limit { return .outOfTime }
                continue
            }
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(end, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return .done }
            text += buffer[..<count]
            while let newline = text.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: text[..<newline], as: UTF8.self)
                text.removeSubrange(...newline)
                if !isReady {
                    isReady = true
                    last = .now + patience * 4
                } else if !(try onLine(line)) {
                    return .done
                }
                // Where others answer the machine works, however slowly.
                deadline = .now + patience
            }
        }
    }

    private static func wait(for end: Int32, _ event: Int32, until deadline: ContinuousClock.Instant) -> Bool {
        while true {
            let left = deadline - ContinuousClock.now
            guard left > .zero else { return false }
            var entry = pollfd(fd: end, events: Int16(event), revents: 0)
            let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000
            let ready = unsafe poll(&entry, 1, Int32(min(milliseconds, 1 << 30)) + 1)
            if ready > 0 { return true }
        }
    }

    /// Kills it with all that it started. What does not end within a moment waits in the kernel for a device.
    private static func end(_ pid: pid_t) {
        kill(-pid, SIGKILL)
        for _ in 0..<20 {
            if waitpid(pid, nil, WNOHANG) != 0 { return }
            usleep(1000)
        }
        _ = try? OwnThread(named: "reaper") { while waitpid(pid, nil, 0) < 0 && errno == EINTR {} }
    }

    private static func spawn(_ executable: String, _ arguments: [String], input: Int32, output: Int32) throws -> pid_t
    {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // A group of its own: Ctrl-C at the terminal is ours to answer. Signals as a new program expects them.
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        // SAFETY: the copies live until the call returns, which is when the child has its own.
        var words = unsafe ([executable] + arguments).map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        var pid = pid_t()
        let failure = unsafe posix_spawn(&pid, executable, &actions, &attributes, &words, flashlayer_environment())
        guard failure == 0 else {
            throw FlashlayerError.system("run \(executable)", Errno(failure), code: .unavailable)
        }
        return pid
    }

    private static func pair() throws -> (ours: Int32, theirs: Int32) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw FlashlayerError.system("make a pair of sockets", .current, code: .fault)
        }
        return (ends[0], ends[1])
    }
}
