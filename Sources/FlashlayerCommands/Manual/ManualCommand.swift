// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FoundationEssentials
import Model

/// Writes the manual pages into a folder. Not for people: `make install` calls it.
struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "_manual",
        abstract: "Write the manual pages.",
        shouldDisplay: false
    )

    @Argument(help: "The folder, such as share/man/man1.")
    var folder: String

    @Option(help: "1: commands; 5: files.")
    var section = 1

    func run() throws {
        for page in section == 5 ? [.recipe] : try Self.pages() {
            let file = try OutputFile("\(folder)/\(page.name).\(section)", replaces: true)
            try file.put(page.text)
        }
    }

    /// One for the program, and one for each command that the help shows, with the commands below it.
    static func pages() throws -> [ManualPage] {
        let dump: CommandDump
        do {
            dump = try JSONDecoder().decode(CommandDump.self, from: Data(FlashlayerCommand._dumpHelp().utf8))
        } catch {
            throw FlashlayerError(.fault, "the argument parser's description of the commands cannot be read: \(error)")
        }
        return pages(dump.command, FlashlayerCommand.self, path: [dump.command.commandName], others: [])
    }

    private static func pages(
        _ command: CommandDump.Command,
        _ type: any ParsableCommand.Type,
        path: [String],
        others: [String]
    ) -> [ManualPage] {
        let name = path.joined(separator: "-")
        let below = command.shown.map { "\(name)-\($0.commandName)" }
        let usage =
            path.count == 1 ? type.usageString(for: type) : FlashlayerCommand.usageString(for: type)
        let page = ManualPage(
            command,
            path: path,
            usage: usage,
            siblings: (others + below).filter { $0 != name }.sorted()
        )
        let types = type.configuration.subcommands
        return [page]
            + command.shown.flatMap { each -> [ManualPage] in
                guard let child = types.first(where: { $0._commandName == each.commandName }) else { return [] }
                return pages(each, child, path: path + [each.commandName], others: [path[0]])
            }
    }
}
