// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Programs

/// Looks at devices from a process of its own, a thread in it for each device. A driver that hangs in open(2), ioctl(2)
/// or read(2) keeps that process, which is left behind, and never us; all other devices have answered by then.
package struct ObserverProcess: DeviceObserver {
    private let executable: String
    private let limit: Duration

    /// - Parameters:
    ///   - executable: the program that has the observer's subcommand.
    ///   - limit: how long devices are waited for when no other one answers any more: all that hang cost it once.
    package init(executable: String = Self.program, limit: Duration = .seconds(3)) {
        self.executable = executable
        self.limit = limit
    }

    /// The `flashlayer` beside the running program, which may be another one of ours; otherwise the running program.
    package static var program: String {
        let running = "/proc/self/exe"
        guard let link = FileTree().linkText(running) else { return running }
        // An upgrade may have replaced the file below us: the one that runs is still the right one.
        let mark = " (deleted)"
        let path = link.hasSuffix(mark) ? String(link.dropLast(mark.count)) : link
        let beside = (path.split(separator: "/").dropLast() + ["flashlayer"]).map { "/" + $0 }.joined()
        return beside != path && Program.isExecutable(beside) ? beside : running
    }

    package func contents(of paths: [String]) -> [String: ProbeOutcome] {
        let answers = ask(.content, paths).compactMapValues(\.content)
        // Answers for every path: a silent one is an answer, too.
        return Dictionary(paths.map { ($0, answers[$0] ?? .notResponding) }, uniquingKeysWith: { first, _ in first })
    }

    package func loops(at paths: [String]) -> [String: LoopStatus] {
        ask(.loop, paths).compactMapValues(\.loop)
    }

    package func unseen(of folders: [String]) -> Set<String> {
        Set(folders).subtracting(ask(.folder, folders).filter { $0.value.isSeen == true }.keys)
    }

    package func access(to paths: [String]) -> [String: ExclusiveAccess] {
        ask(.access, paths).compactMapValues(\.access)
    }

    private func ask(_ aspect: ObserverJob.Aspect, _ paths: [String]) -> [String: ObserverJob.Answer] {
        guard !paths.isEmpty else { return [:] }
        var found: [String: ObserverJob.Answer] = [:]
        let wanted = Set(paths)
        let ending = try? BoundedChild.run(
            executable,
            arguments: [ObserverJob.subcommand],
            job: ObserverJob(aspect: aspect, paths: wanted.sorted()),
            patience: limit
        ) { line in
            let answer = try WorkerLine.decode(ObserverJob.Answer.self, from: line)
            found[answer.path] = answer
            return found.count < wanted.count
        }
        // Whatever lies on one disk and makes a library crash says nothing about the others.
        let silent = wanted.subtracting(found.keys)
        if ending == .done, !silent.isEmpty, wanted.count > 1 {
            for path in silent { found.merge(ask(aspect, [path])) { first, _ in first } }
        }
        return found
    }
}
