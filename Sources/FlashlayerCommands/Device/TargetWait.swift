// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import Model
import Threads

/// What `--help` says of targets.
enum TargetHelp {
    static let writing = ArgumentHelp(
        "The disks, such as /dev/sdb or 'serial=4C53*': whole disks, not partitions.",
        valueName: "target"
    )
    static let reading = ArgumentHelp("The disks, such as /dev/sdb or 'serial=4C53*'.", valueName: "target")
}

/// Waits until disks are there: plugged in, or with a medium in them.
struct TargetWait: Sendable {
    /// A target that did not come, or that no waiting will help.
    struct Missing: Error {
        let index: Int
        let error: FlashlayerError
    }

    /// How often it is looked without a word from the kernel, and said that it is waited.
    private static let pause = Duration.seconds(1)
    private static let silence = Duration.seconds(8)

    private let names: [String]
    private let choices: [ChosenTarget.Name]
    private let seconds: Int
    private let reporter: FlashReporter
    private let console: Console

    init(
        names: [String],
        choices: [ChosenTarget.Name],
        seconds: Int,
        _ reporter: FlashReporter,
        _ console: Console
    ) {
        self.names = names
        self.choices = choices
        self.seconds = seconds
        self.reporter = reporter
        self.console = console
    }

    /// - Throws: `Missing`, `CancellationError`, `unavailable`.
    func run() async throws {
        let end = ContinuousClock.now + .seconds(seconds)
        // Heard from before the first look, so that nothing falls in between.
        let monitor = HotplugMonitor()
        defer { console.clearStatus() }
        var lastSaid: ContinuousClock.Instant?
        while true {
            let missing = try await look()
            guard let first = missing.first else { return }
            let left = end - ContinuousClock.now
            guard left > .zero else { throw Missing(index: first.index, error: late(first.error)) }
            if lastSaid.map({ ContinuousClock.now - $0 > Self.silence }) ?? true {
                reporter.waiting(for: missing.map { names[$0.index] }, secondsLeft: Int(left.seconds.rounded(.up)))
                lastSaid = .now
            }
            let what = missing.map { Printable.line(names[$0.index]) }.joined(separator: " and ")
            console.status("waiting for \(what), \(ProgressLine.describe(seconds: left.seconds)) more")
            _ = try await onAbandonableThread(named: "hotplug") { monitor.wait(upTo: min(left, Self.pause)) }
        }
    }

    /// - Throws: `Missing` for what is wrong in another way than by not being there.
    private func look() async throws -> [Missing] {
        let found = try await onAbandonableThread(named: "look") { [choices] in
            // Nothing is read of the disks: one that hangs keeps nobody waiting for another one.
            let inventory = try Inventory(tree: FileTree(), catalog: UdevCatalog(), observer: UnreadContents())
            return choices.map { choice -> FlashlayerError? in
                guard case .disk(let choice) = choice else { return nil }
                do {
                    let disk = try inventory.disk(chosenBy: choice)
                    guard disk.size == 0 else { return nil }
                    return FlashlayerError(.noMedium, "\(disk.path) has no medium")
                } catch {
                    return FlashlayerError(wrapping: error)
                }
            }
        }
        let missing = found.enumerated().compactMap { index, error in
            error.map { Missing(index: index, error: $0) }
        }
        if let wrong = missing.first(where: { ![.notFound, .noMedium].contains($0.error.code) }) { throw wrong }
        return missing
    }

    private func late(_ error: FlashlayerError) -> FlashlayerError {
        let waited = seconds == 0 ? "" : ", and none came in \(ProgressLine.describe(seconds: Double(seconds)))"
        return FlashlayerError(.notFound, error.message + waited, advice: error.advice)
    }
}
