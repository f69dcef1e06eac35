// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs
import TestSupport
import Testing

@Suite("What flashlayer says of itself")
struct HelpTests {
    /// As `--experimental-dump-help` prints it.
    private struct Dump: Decodable {
        struct Command: Decodable {
            let commandName: String
            let abstract: String?
            let discussion: String?
            let shouldDisplay: Bool
            let arguments: [Argument]?
            let subcommands: [Command]?
        }

        struct Argument: Decodable {
            let abstract: String?
            let shouldDisplay: Bool
            let valueName: String
        }

        let command: Command
    }

    private func root() async throws -> Dump.Command {
        let dump = try await FlashlayerProgram.run(["--experimental-dump-help"]).output
        return try JSONDecoder().decode(Dump.self, from: Data(dump.utf8)).command
    }

    /// What a person finds in the help.
    private func commands() async throws -> [Dump.Command] {
        try await root().subcommands?.filter { $0.shouldDisplay && $0.commandName != "help" } ?? []
    }

    @Test("every command has a sentence, an explanation and an example of its own")
    func commandsExplained() async throws {
        let commands = try await commands()
        #expect(commands.map(\.commandName).contains("write"))
        for command in commands {
            let abstract = try #require(command.abstract, "\(command.commandName)")
            #expect(abstract.hasSuffix(".") && abstract.count < 90, "\(command.commandName): \(abstract)")
            let discussion = try #require(command.discussion, "\(command.commandName)")
            let examples = discussion.split(separator: "\n").filter { $0.hasPrefix("  flashlayer ") }
            #expect(examples.contains { $0.hasPrefix("  flashlayer \(command.commandName)") }, "\(command.commandName)")
            for example in examples { #expect(example.count <= 80, "a terminal would break \(example)") }
        }
    }

    @Test("every argument and every option says what it is")
    func argumentsExplained() async throws {
        for command in try await [root()] + commands() {
            for argument in command.arguments ?? [] where argument.shouldDisplay {
                let help = try #require(argument.abstract, "\(command.commandName) \(argument.valueName)")
                #expect(help.count > 5 && ".:)".contains(help.last ?? " "), "\(command.commandName): \(help)")
            }
        }
    }

    @Test("help fits a terminal, goes to standard output, and is no failure")
    func helpFits() async throws {
        for name in try await [[]] + commands().map({ [$0.commandName] }) {
            let outcome = try await FlashlayerProgram.run(name + ["--help"], environment: ["COLUMNS": nil])
            #expect(outcome.status == 0)
            #expect(outcome.errors.isEmpty)
            for line in outcome.output.split(separator: "\n") {
                #expect(line.count <= 100, "\(name): give its configuration a shorter 'usage:'")
            }
        }
    }

    @Test("without a word it shows its help, with every command")
    func alone() async throws {
        let outcome = try await FlashlayerProgram.run([])
        #expect(outcome.status == 0)
        for command in try await commands() { #expect(outcome.output.contains("  \(command.commandName) ")) }
        #expect(!outcome.output.contains("_engine"), "workers are not for people")
    }

    @Test("--version is a version and nothing else")
    func version() async throws {
        let outcome = try await FlashlayerProgram.run(["--version"])
        #expect(outcome.output == Version.string + "\n")
        #expect(Version.string.split(separator: ".").count == 3)
    }

    @Test("completions are generated for every shell, and the shell that is here can read them")
    func completions() async throws {
        let folder = try TemporaryFolder()
        for shell in ["bash", "zsh", "fish"] {
            let outcome = try await FlashlayerProgram.run(["--generate-completion-script", shell])
            #expect(outcome.status == 0)
            for command in try await commands() { #expect(outcome.output.contains(command.commandName), "\(shell)") }
            let script = try folder.write(outcome.output, to: "completion.\(shell)")
            guard let program = try? Program(shell, debianPackage: shell) else { continue }
            let check = try await program.outcome(["-n", script])
            #expect(check.status == 0, "\(shell): \(check.errors)")
        }
    }
}
