// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs

/// Takes away what is mounted from a disk, and brings it back when nothing came of the write. All calls block.
package struct Unmounting: Sendable {
    /// How long each file system of a disk may take to write back what they hold. Seconds.
    package static let timeLimit = 10

    private let disk: String
    private let executable: String

    /// - Parameter disk: the node, for messages.
    package init(of disk: String, executable: String = ObserverProcess.program) {
        self.disk = disk
        self.executable = executable
    }

    /// Unmounts, never lazily and never by force. When one of them is busy the others are mounted again.
    ///
    /// - Parameter onStep: called for each mount that came or went.
    /// - Throws: `inUse`, which names the users; `noAnswer` when it takes too long; `notPermitted`.
    package func unmount(
        _ steps: [MountStep],
        onStep: (_ mountPoint: String, _ isMounted: Bool) -> Void = { _, _ in }
    ) throws {
        var done: [MountStep] = []
        var failure: FlashlayerError?
        let ending = try ask(UnmountJob(direction: .unmount, steps: steps)) { answer in
            let step = steps[answer.step]
            guard let error = answer.error else {
                done.append(step)
                onStep(step.mountPoint, false)
                return
            }
            failure = busy(step, error, answer.users)
        }
        if ending == .outOfTime {
            let place = steps.dropFirst(done.count).first?.mountPoint ?? ""
            failure = FlashlayerError(
                .noAnswer,
                "\(disk) cannot be unmounted from \(place) within \(Self.timeLimit) seconds",
                advice: "wait until it has written what it holds, and try again"
            )
        } else if failure == nil, done.count < steps.count {
            failure = FlashlayerError(.fault, "\(disk) was not unmounted: the process that does it ended early")
        }
        guard let failure else { return }
        let left = mount(done) { onStep($0, true) }
        guard left.isEmpty else {
            throw FlashlayerError(
                failure.code,
                ([failure.message] + left).joined(separator: "; "),
                advice: failure.advice
            )
        }
        throw failure
    }

    /// Mounts again what `unmount` took away.
    ///
    /// - Returns: what could not be done, as sentences.
    package func mount(_ steps: [MountStep], onStep: (_ mountPoint: String) -> Void = { _ in }) -> [String] {
        guard !steps.isEmpty else { return [] }
        let steps = Array(steps.reversed())
        var left = Set(steps.map(\.mountPoint))
        var notes: [String] = []
        do {
            _ = try ask(UnmountJob(direction: .mount, steps: steps)) { answer in
                let step = steps[answer.step]
                left.remove(step.mountPoint)
                if let error = answer.error {
                    notes.append("\(step.node) could not be mounted at \(step.mountPoint) again: \(error)")
                } else {
                    onStep(step.mountPoint)
                }
            }
        } catch {
            notes.append(FlashlayerError(wrapping: error).message)
        }
        return notes + left.sorted().map { "it was not mounted at \($0) again" }
    }

    private func ask(_ job: UnmountJob, _ onAnswer: (UnmountJob.Answer) -> Void) throws -> BoundedChild.Ending {
        var count = 0
        return try BoundedChild.run(
            executable,
            arguments: [UnmountJob.subcommand],
            job: job,
            patience: .seconds(Self.timeLimit)
        ) { line in
            onAnswer(try WorkerLine.decode(UnmountJob.Answer.self, from: line))
            count += 1
            return count < job.steps.count
        }
    }

    private func busy(_ step: MountStep, _ error: String, _ users: [String]) -> FlashlayerError {
        let shown = 4
        let rest = users.count > shown ? ["and \(users.count - shown) more"] : []
        let who = users.isEmpty ? error : (users.prefix(shown) + rest).joined(separator: "; ")
        return FlashlayerError(
            .inUse,
            "\(disk) cannot be unmounted from \(step.mountPoint): \(who)",
            advice: "end what uses it, and try again; nothing was written"
        )
    }
}
