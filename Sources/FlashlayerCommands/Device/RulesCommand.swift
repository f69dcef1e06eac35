// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices

/// Prints docs/safety.md from the rules. Not for people: `make docs` calls it.
struct RulesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "_rules",
        abstract: "Print the page of rules.",
        shouldDisplay: false
    )

    func run() throws {
        Console.answer(Rule.page)
    }
}
