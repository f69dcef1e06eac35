// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FlashlayerCommands
import TestSupport
import Testing

@Suite("Commands that are written down")
struct DocumentedCommandsTests {
    /// A command line, and where it stands.
    private struct Example {
        let place: String
        let words: [String]
    }

    private static var commands: [String] {
        FlashlayerCommand.configuration.subcommands.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
    }

    /// In the pages, in the help texts, and in the script that is an example.
    private static func examples() throws -> [Example] {
        let pages = try ["README.md", "CONTRIBUTING.md"] + Checkout.files(["docs", "examples"], suffixes: [".md"])
        var lines: [(place: String, line: Substring)] = []
        for page in pages { lines += code(in: try Checkout.text(page)).map { (page, $0) } }
        for command in [FlashlayerCommand.self] + FlashlayerCommand.configuration.subcommands {
            let help = command.configuration.discussion.split(separator: "\n").filter { $0.hasPrefix("  ") }
            lines += help.map { ("the help of \(command._commandName)", $0) }
        }
        // The demo has a function that shows a command and runs it.
        let demo = try Checkout.lines("examples/demo").filter { $0.hasPrefix("run ") }
        lines += demo.map { ("examples/demo", "flashlayer" + $0.dropFirst("run".count)) }
        return lines.compactMap { place, line in
            words(line).map { Example(place: "\(place): \(line)", words: $0) }
        }
    }

    /// The lines of a page that are code: between fences, or indented.
    private static func code(in page: String) -> [Substring] {
        var isFenced = false
        return page.split(separator: "\n").filter { line in
            if line.hasPrefix("```") { isFenced.toggle() }
            return isFenced || line.hasPrefix("    ")
        }
    }

    /// The arguments, when a line is a call of flashlayer. A shell's quotes are taken off, and what it does with the
    /// output is left out.
    private static func words(_ line: Substring) -> [String]? {
        var words: [String] = []
        var word = ""
        var quote: Character?
        for character in line + " " {
            if let open = quote {
                if character == open { quote = nil } else { word.append(character) }
            } else if "'\"".contains(character) {
                quote = character
            } else if character == " " {
                if ["|", ">", ">>", "<", "&&", "#", "||"].contains(word) { break }
                if !word.isEmpty { words.append(word) }
                word = ""
            } else {
                word.append(character)
            }
        }
        while let first = words.first, ["$", "#", "sudo"].contains(first) { words.removeFirst() }
        return words.first == "flashlayer" && words.count > 1 ? Array(words.dropFirst()) : nil
    }

    @Test("the program itself can read every one")
    func parse() throws {
        let examples = try Self.examples()
        #expect(examples.count > 15, "they are found at all")
        for example in examples {
            do {
                _ = try FlashlayerCommand.parse(example.words)
            } catch {
                #expect(FlashlayerCommand.exitCode(for: error) == .success, "\(example.place): \(error)")
            }
        }
    }

    @Test("the README knows every command")
    func complete() throws {
        let readme = try Checkout.text("README.md")
        for command in Self.commands {
            #expect(readme.contains("`flashlayer \(command)`"), "\(command)")
        }
    }
}
