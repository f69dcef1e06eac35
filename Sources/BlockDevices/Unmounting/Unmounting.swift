// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs

/// Takes away what is mounted from a disk, and brings it back when nothing came of the write. All calls block.
package struct Unmounting: Sendable {
    /// How long each file system of a disk may take to write back what it holds. Seconds.
    package static let timeLimit = 60
    /// How long each may take to be mounted again when another one is still writing. Seconds.
    private static let returnLimit = 10

    private let disk: String
    private let executable: String
    private let patience: Duration

    /// - Parameters:
    ///   - disk: the node, for messages.
    ///   - patience: how long each unmount may take.
    package init(
        of disk: String,
        executable: String = ObserverProcess.program,
        patience: Duration = .seconds(Unmounting.timeLimit)
    ) {
        self.disk = disk
        self.executable = executable
        self.patience = patience
    }

    /// Unmounts, never lazily and never by force. When one of them is busy the others are mounted again.
    ///
    /// - Parameters:
    ///   - isCancelled: asked while it waits; what is still writing then is not waited for.
    ///   - onStep: called for each mount that came or went.
    /// - Throws: `inUse`, which names the users; `noAnswer` when it takes too long; `interrupted`; `notPermitted`.
    package func unmount(
        _ steps: [MountStep],
        isCancelled: @escaping () -> Bool = { false },
        onStep: (_ mountPoint: String, _ isMounted: Bool) -> Void = { _, _ in }
    ) throws {
        var done: [MountStep] = []
        var failure: FlashlayerError?
        let ending = try ask(UnmountJob(direction: .unmount, steps: steps), patience, isCancelled) { answer in
            let step = steps[answer.step]
            guard let error = answer.error else {
                done.append(step)
                onStep(step.mountPoint, false)
                return
            }
            failure = busy(step, error, answer.users)
        }
        // A mount is out of the namespace before its file system has written what it holds.
        var writing: MountStep?
        if failure == nil, done.count < steps.count {
            let mounts = SystemView.mountedNow.mounts
            for step in steps.dropFirst(done.count) where !mounts.contains(where: step.isSame) {
                done.append(step)
                writing = step
                onStep(step.mountPoint, false)
            }
            failure = unfinished(ending, writing ?? steps.dropFirst(done.count).first)
        }
        guard let failure else { return }
        var left: [String] = []
        // Nothing is mounted from a device that is still being unmounted: that waits for the same writing.
        let stuck = done.filter { $0.node == writing?.node }
        if ending == .abandoned {
            left = stuck.map { "\($0.node) is not mounted at \($0.mountPoint) any more, and is still written to" }
            done.removeAll { $0.node == writing?.node }
        }
        let limit = ending == .done ? patience : .seconds(ending == .abandoned ? 1 : Self.returnLimit)
        left += mount(done, last: writing, limit) { onStep($0, true) }
        guard left.isEmpty else {
            throw FlashlayerError(
                failure.code,
                ([failure.message] + left).joined(separator: "; "),
                advice: failure.advice
            )
        }
        throw failure
    }

    private func unfinished(_ ending: BoundedChild.Ending, _ step: MountStep?) -> FlashlayerError {
        switch ending {
        case .abandoned: FlashlayerError(wrapping: CancellationError())
        case .outOfTime:
            FlashlayerError(
                .noAnswer,
                "\(disk) cannot be unmounted from \(step?.mountPoint ?? "") within \(patience.components.seconds) seconds",
                advice: "wait until it has written what it holds, and try again"
            )
        case .done: FlashlayerError(.fault, "\(disk) was not unmounted: the process that does it ended early")
        }
    }

    /// Mounts again what `unmount` took away, unless the medium is another one by now.
    ///
    /// - Returns: what could not be done, as sentences.
    package func mount(_ steps: [MountStep], onStep: (_ mountPoint: String) -> Void = { _ in }) -> [String] {
        mount(steps, last: nil, patience, onStep)
    }

    private func mount(
        _ steps: [MountStep],
        last: MountStep?,
        _ limit: Duration,
        _ onStep: (_ mountPoint: String) -> Void
    ) -> [String] {
        guard !steps.isEmpty else { return [] }
        // In the order in which they were made; what may hang keeps none of the others waiting.
        let order = { (step: MountStep) in (step.node == last?.node ? 1 : 0, step.position) }
        let steps = steps.sorted { order($0) < order($1) }
        var left = Set(steps.indices)
        var notes: [String] = []
        do {
            _ = try ask(UnmountJob(direction: .mount, steps: steps), limit) { answer in
                let step = steps[answer.step]
                left.remove(answer.step)
                if let error = answer.error {
                    notes.append("\(step.node) could not be mounted at \(step.mountPoint) again as it was: \(error)")
                } else {
                    onStep(step.mountPoint)
                }
            }
        } catch {
            notes.append(FlashlayerError(wrapping: error).message)
        }
        return notes + left.sorted().map { "\(steps[$0].node) was not mounted at \(steps[$0].mountPoint) again" }
    }

    private func ask(
        _ job: UnmountJob,
        _ patience: Duration,
        _ isAbandoned: (() -> Bool)? = nil,
        _ onAnswer: (UnmountJob.Answer) -> Void
    ) throws -> BoundedChild.Ending {
        var count = 0
        return try BoundedChild.run(
            executable,
            arguments: [UnmountJob.subcommand],
            job: job,
            patience: patience,
            isAbandoned: isAbandoned
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
