// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Digests
import DiskImages
import Flashing
import Model
import Programs

/// The course of one write or verify, shared by every command that does it: judge, ask, hand to an engine, report.
struct FlashRun: Sendable {
    private static let mostTargets = 16

    let console: Console
    private let names: [String]
    private let choices: [ChosenTarget.Name]
    private let reporter: FlashReporter
    private let report: OutputFile?

    /// - Throws: `usage`; `cannot-create` when the report could not be written later.
    init(_ command: String, targets names: [String], _ engine: EngineOptions, _ console: Console) throws {
        guard names.count <= Self.mostTargets else {
            throw FlashlayerError(.usage, "\(names.count) targets were named; at most \(Self.mostTargets) are written")
        }
        if let twice = names.indices.first(where: { names[..<$0].contains(names[$0]) }) {
            throw Self.twice(names[twice])
        }
        self.names = names
        choices = try names.map { try ChosenTarget.Name($0) }
        self.console = console
        report = try engine.report.map { try OutputFile($0, replaces: true) }
        reporter = FlashReporter(command: command, targets: names, json: engine.json, console: console)
    }

    /// Does the work and accounts for it: whatever the end is, each target gets one, and the report is written.
    ///
    /// - Throws: what the work throws; for several targets that failed, one error with the worst code.
    func accounted(_ work: () async throws -> Void) async throws {
        var failure: FlashlayerError?
        do {
            try await work()
        } catch {
            failure = Interruption.named(FlashlayerError(wrapping: error))
        }
        reporter.close(failure)
        if let report, !reporter.needs(report) {
            do {
                try report.put(try reporter.report(exitStatus: failure?.code.exitStatus ?? 0))
            } catch {
                // The first thing that went wrong is the one that counts.
                guard failure != nil else { throw error }
                console.warn(FlashlayerError(wrapping: error).message)
            }
        }
        if let failure { throw failure }
    }

    // MARK: - Before anything is touched

    /// The image that is written, or that the targets are compared with.
    ///
    /// - Throws: `not-found`, `bad-image`, `digest-mismatch`, `unavailable`, `usage`.
    func open(_ name: String, _ options: ImageOptions? = nil) async throws -> ImageChoice {
        reporter.named(name)
        let image = try await ImageChoice.open(name, try options ?? .unset, console)
        reporter.opened(image)
        if let report, report.isOne(of: image.files) {
            throw FlashlayerError(
                .cannotCreate,
                "the report would replace \(report.path), which the image is made of",
                advice: "name another file: --report FILE"
            )
        }
        return image
    }

    /// Waits until there is a disk for each name.
    ///
    /// - Parameter seconds: how long at most; nil asks nothing.
    /// - Throws: `not-found` when one has not come; `ambiguous`, `not-block-device` and the like at once.
    func wait(upTo seconds: Int?) async throws {
        guard let seconds else { return }
        do {
            try await TargetWait(names: names, choices: choices, seconds: seconds, reporter, console).run()
        } catch let failure as TargetWait.Missing {
            reporter.finish(failure.index, FlashResult(failure.error), isSaid: false)
            throw failure.error
        }
    }

    /// The device gate: every rule is asked of every target, and all that is wrong is said at once.
    ///
    /// - Parameters:
    ///   - image: what will be written; nil while it is not built yet.
    ///   - expectedSize: bytes, where the image is not there but its size is known.
    ///   - files: what must outlive the write.
    ///   - chosen: what was found for the names before: those same disks are judged again, whatever fits the names now.
    /// - Throws: `usage` for a device that was named twice; the refusal, of several targets the worst.
    func judge(
        image: ImageFacts? = nil,
        expectedSize: UInt64? = nil,
        files: [String],
        allowed: Set<ErrorCode>,
        unmounts: Bool = false,
        chosen: [ChosenTarget]? = nil
    ) async throws -> [ChosenTarget] {
        let request = WriteRequest(
            imageSize: image?.size ?? expectedSize,
            tableSectorSize: image?.tableSectorSize,
            sourceFiles: files + (report.map { [$0.path] } ?? []),
            allowed: allowed,
            unmounts: unmounts
        )
        let again = chosen?.map { $0.disk.map { ChosenTarget.Name.disk(.path($0.path)) } ?? .null }
        return try accept(try await ChosenTarget.find(again ?? choices, for: request))
    }

    /// Takes away what is mounted from the targets while the work is done, and brings it back for each target of which no
    /// byte was written.
    ///
    /// - Parameters:
    ///   - targets: judged with what is mounted left out of account.
    ///   - judge: is asked of them again once nothing is mounted.
    func unmounted(
        _ targets: [ChosenTarget],
        judge: () async throws -> [ChosenTarget],
        _ work: ([ChosenTarget]) async throws -> Void
    ) async throws {
        let release = TargetRelease(targets.compactMap(\.disk), reporter, console)
        do {
            try Task.checkCancellation()
            try await release.unmount()
            try await work(try await judgedAgain(targets, judge))
        } catch {
            await release.restore()
            throw error
        }
        // What held the image already was not written.
        await release.restore()
    }

    /// Somebody thought for minutes before he agreed, or things were unmounted: what was true before need not be now. A
    /// loop device over the disk, for one, keeps nobody from claiming it.
    ///
    /// - Throws: `changed`; the refusal.
    func judgedAgain(
        _ targets: [ChosenTarget],
        _ judge: () async throws -> [ChosenTarget]
    ) async throws -> [ChosenTarget] {
        let again = try await judge()
        for (index, (before, now)) in zip(targets, again).enumerated() where before.target != now.target {
            let failure = FlashlayerError(
                .changed,
                "\(before.path) is not the disk any more that was chosen",
                advice: "nothing was written; choose again"
            )
            reporter.finish(index, FlashResult(failure), isSaid: false)
            throw failure
        }
        return again
    }

    /// Disks that are only read: no rule is asked.
    func find() async throws -> [ChosenTarget] {
        guard !names.contains(ChosenTarget.nullName) else {
            throw FlashlayerError(.usage, "null: keeps nothing that could be verified", advice: "name a disk")
        }
        return try accept(try await ChosenTarget.find(choices, for: nil))
    }

    private func accept(_ findings: [ChosenTarget.Finding]) throws -> [ChosenTarget] {
        for (index, finding) in findings.enumerated() {
            if let target = finding.target { reporter.found(target, at: index) }
        }
        let numbers = findings.map { $0.target?.disk?.identity.deviceNumber }
        for (index, number) in numbers.enumerated() where number != nil && numbers[..<index].contains(number) {
            throw Self.twice(names[index])
        }
        for (index, finding) in findings.enumerated() {
            guard let error = finding.error else { continue }
            for refusal in finding.others {
                console.warn("\(refusal.message): \(refusal.evidence) [\(refusal.code.rawValue)]")
            }
            reporter.finish(index, FlashResult(error))
        }
        if let failure = reporter.failure(were: "refused", advice: "nothing was written to any of them") {
            throw failure
        }
        return findings.compactMap(\.target)
    }

    private static func twice(_ name: String) -> FlashlayerError {
        FlashlayerError(.usage, "the target \(name) was named twice", advice: "name each disk once")
    }

    /// Has the name of each disk typed at the terminal.
    func confirm(_ targets: [ChosenTarget]) throws {
        let confirmation = Confirmation(console)
        for (index, target) in targets.enumerated() {
            guard let disk = target.disk else { continue }
            do {
                try confirmation.ask(for: disk, position: targets.count > 1 ? "\(index + 1) of \(targets.count)" : nil)
            } catch {
                let failure = FlashlayerError(wrapping: error)
                reporter.finish(index, FlashResult(failure), isSaid: false)
                throw failure
            }
        }
    }

    // MARK: - The engine

    /// Gives a job to an engine and reports its course.
    ///
    /// - Parameter expected: what the image's digest was when it was made; nil when nobody knows.
    /// - Throws: the error of the result; of several the worst.
    func run(
        _ job: FlashJob,
        _ image: ImageChoice,
        _ targets: [ChosenTarget],
        expecting expected: ImageDigest? = nil
    ) async throws {
        // Whoever was interrupted while the disks were looked at does not want them written.
        try Task.checkCancellation()
        reporter.begin(job, image, targets)
        let heartbeat = Task { [reporter] in
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                reporter.heartbeat()
            }
        }
        defer { heartbeat.cancel() }
        let verdict = FlashVerdict(job: job, image: image, expected: expected)
        let results = try await StandardInput.whileWhole { [console, reporter] in
            await EngineProcess().run(job) { line in
                console.warn("engine: \(line)")
            } onEvent: { event in
                if case .finished(let result) = event.event {
                    reporter.finish(event.target, verdict.of(result, for: targets[event.target].path))
                } else {
                    reporter.report(event)
                }
            }
        }
        // A target that the engine says nothing of any more has its result here.
        for (index, result) in results.enumerated() {
            reporter.finish(index, verdict.of(result, for: targets[index].path))
        }
        if let failure = reporter.failure(were: job.mode == .write ? "not written" : "found wrong") { throw failure }
    }
}
