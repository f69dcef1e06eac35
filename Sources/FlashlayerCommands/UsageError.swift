// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Model

extension FlashlayerError {
    /// What the argument parser has against a command line, in the form of all our errors: a sentence, and what to do.
    ///
    /// - Parameter arguments: without the name of the program.
    init(unreadable error: any Error, arguments: [String]) {
        let commands = FlashlayerCommand.configuration.subcommands
        let words = commands.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
        guard let word = arguments.first(where: { !$0.hasPrefix("-") }) else {
            self.init(.usage, Self.sentence(of: error), advice: "'flashlayer --help' lists the commands")
            return
        }
        guard let command = commands.first(where: { $0._commandName == word }) else {
            let near = NearMiss.of(word, among: words).map { ": did you mean '\($0)'?" } ?? ""
            self.init(.usage, "there is no command '\(word)'\(near)", advice: "'flashlayer --help' lists the commands")
            return
        }
        let usage = FlashlayerCommand.usageString(for: command).split(separator: "\n").joined(separator: "\n  ")
        self.init(.usage, Self.sentence(of: error), advice: "\(usage)\n  'flashlayer \(word) --help' says more")
    }

    private static func sentence(of error: any Error) -> String {
        let text = FlashlayerCommand.message(for: error)
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}
