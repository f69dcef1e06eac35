// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Model
import Programs

/// A command as all of ours are: it can be interrupted, it speaks through a console, and it fails with one error.
protocol Operation: AsyncParsableCommand, Sendable {
    var common: CommonOptions { get }

    /// Whether the last line on standard output tells as JSON how the command ended, also when nothing was started.
    var emitsSummary: Bool { get }

    func perform(_ console: Console) async throws
}

extension Operation {
    var emitsSummary: Bool { false }

    mutating func run() async throws {
        let console = try Console(common)
        let operation = self
        do {
            try await Interruption().run {
                if console.isTerminal { console.say("stopping ... (once more to stop at once)") }
            } _: {
                try await operation.perform(console)
            }
            if emitsSummary { Console.answer(FlashRecord.line("summary", FlashRecord.Summary(nil))) }
        } catch {
            let failure = FlashlayerError(wrapping: error)
            console.record(failure)
            if emitsSummary { Console.answer(FlashRecord.line("summary", FlashRecord.Summary(failure))) }
            throw failure
        }
    }
}

/// The options that every command has.
struct CommonOptions: ParsableArguments, Sendable {
    enum Color: String, ExpressibleByArgument, CaseIterable {
        case auto, always, never
    }

    @Flag(name: [.short, .long], help: "Say nothing but errors and the answer.")
    var quiet = false

    @Flag(name: [.short, .long], help: "Say more.")
    var verbose: Int

    @Option(help: "When to use colours. NO_COLOR is obeyed.")
    var color = Color.auto

    @Option(help: ArgumentHelp("Write what is said to this file, too.", valueName: "file"), completion: .file())
    var log: String?
}
