// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Synchronization
import Threads

/// Who reads what lies on disks.
package protocol ContentSource: Sendable {
    /// Answers for every path.
    func contents(of paths: [String]) -> [String: ProbeOutcome]
}

/// What came of reading a disk.
package enum ProbeOutcome: Sendable, Equatable {
    case content(DiskContent)
    /// It may not be opened, or gives errors.
    case unreadable
    /// It did not answer in time.
    case notResponding

    var content: DiskContent? {
        if case .content(let content) = self { content } else { nil }
    }
}

/// libblkid, on a thread for each disk, so that one that hangs delays the list and does not stop it.
///
/// A thread that is left behind ends with the program: reads through the page cache can be killed. A driver that hangs
/// in open(2) can not; only a process of its own for each disk would help there.
package struct ProbedContents: ContentSource {
    private let limit: Duration

    /// - Parameter limit: for all disks together.
    package init(limit: Duration = .seconds(3)) {
        self.limit = limit
    }

    package func contents(of paths: [String]) -> [String: ProbeOutcome] {
        guard let answers = Answers() else { return probeHere(paths) }
        let deadline = ContinuousClock.now + limit
        for path in paths {
            do {
                _ = try OwnThread(named: "probe") { answers.add(Self.probe(path), for: path) }
            } catch {
                answers.add(.unreadable, for: path)
            }
        }
        let found = answers.wait(count: paths.count, until: deadline)
        return Dictionary(
            paths.map { ($0, found[$0] ?? .notResponding) },
            uniquingKeysWith: { first, _ in first }
        )
    }

    private func probeHere(_ paths: [String]) -> [String: ProbeOutcome] {
        Dictionary(paths.map { ($0, Self.probe($0)) }, uniquingKeysWith: { first, _ in first })
    }

    private static func probe(_ path: String) -> ProbeOutcome {
        (try? ContentProbe(path).content()).map { .content($0) } ?? .unreadable
    }
}

/// Answers from threads, with a pipe to wait on that knows of time. It lives until the last thread has answered.
private final class Answers: Sendable {
    private let found = Mutex<[String: ProbeOutcome]>([:])
    private let readEnd: Int32
    private let writeEnd: Int32

    init?() {
        var ends: [Int32] = [-1, -1]
        // SAFETY: pipe fills the two numbers that it is given.
        guard
            unsafe ends.withUnsafeMutableBufferPointer({ buffer in
                guard let start = buffer.baseAddress else { return false }
                return unsafe pipe(start) == 0
            })
        else { return nil }
        readEnd = ends[0]
        writeEnd = ends[1]
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    func add(_ outcome: ProbeOutcome, for path: String) {
        found.withLock { $0[path] = outcome }
        var byte: UInt8 = 0
        _ = unsafe write(writeEnd, &byte, 1)
    }

    func wait(count: Int, until deadline: ContinuousClock.Instant) -> [String: ProbeOutcome] {
        while true {
            let found = found.withLock { $0 }
            let left = deadline - ContinuousClock.now
            guard left > .zero, found.count < count else { return found }
            var entry = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
            let milliseconds = left.components.seconds * 1000 + left.components.attoseconds / 1_000_000_000_000_000
            guard unsafe poll(&entry, 1, Int32(milliseconds) + 1) > 0 else { continue }
            var byte: UInt8 = 0
            _ = unsafe read(readEnd, &byte, 1)
        }
    }
}
