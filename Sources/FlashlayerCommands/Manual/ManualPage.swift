// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Model

/// A manual page in man(7)'s macros, made of what `--help` says. See groff_man(7) and mandoc(1).
struct ManualPage {
    /// `flashlayer-write`; of the program itself its name.
    let name: String
    let text: String

    /// - Parameters:
    ///   - path: the words with which the command is called, the program's first.
    ///   - usage: as the help shows it.
    init(_ command: CommandDump.Command, path: [String], usage: String, siblings: [String]) {
        name = path.joined(separator: "-")
        var lines = Self.head(name, section: 1, abstract: command.abstract ?? name) + [".SH SYNOPSIS", ".nf"]
        lines += usage.split(separator: "\n").map { Self.line(String($0)) }
        lines += [".fi"]
        if let discussion = command.discussion { lines += [".SH DESCRIPTION"] + Self.paragraphs(discussion) }
        let arguments = (command.arguments ?? []).filter(\.shouldDisplay)
        lines += Self.section("ARGUMENTS", arguments.filter { $0.kind == .positional })
        lines += Self.section("OPTIONS", arguments.filter { $0.kind != .positional })
        let subcommands = command.shown
        if !subcommands.isEmpty {
            lines += [".SH COMMANDS"]
            for each in subcommands {
                lines += [".TP", ".B \(Self.plain(each.commandName))", Self.line(each.abstract ?? "")]
            }
        }
        if path.count == 1 { lines += Self.statuses }
        if !siblings.isEmpty {
            let pages = siblings.map { ".BR \(Self.plain($0)) (1)" }
            lines += [".SH SEE ALSO"] + pages.dropLast().map { $0 + " ," } + pages.suffix(1)
        }
        text = lines.joined(separator: "\n") + "\n"
    }

    /// A page that is no command's.
    ///
    /// - Parameter body: requests and text of roff, behind the name.
    init(name: String, section: Int, abstract: String, body: [String]) {
        self.name = name
        text = (Self.head(name, section: section, abstract: abstract) + body).joined(separator: "\n") + "\n"
    }

    private static func head(_ name: String, section: Int, abstract: String) -> [String] {
        let version = quoted("flashlayer \(Version.string)")
        return [
            #".\" SPDX-License-Identifier: Apache-2.0"#,
            #".\" Copyright the flashlayer authors"#,
            #".\" Made by the program itself."#,
            // The date of the version: the same program makes the same page.
            ".TH \(quoted(name.uppercased())) \(section) \(Version.date) \(version) \"flashlayer\"",
            ".nh",
            ".SH NAME",
            "\(plain(name)) \\- \(plain(sentence(abstract)))",
        ]
    }

    /// The exit statuses, with the codes that end with them.
    private static var statuses: [String] {
        let codes = Dictionary(grouping: ErrorCode.allCases, by: \.exitStatus)
        return [".SH EXIT STATUS", ".TP", ".B 0", "It is done."]
            + codes.sorted { $0.key < $1.key }.flatMap { status, codes in
                [".TP", ".B \(status)", line(codes.map(\.rawValue).joined(separator: ", ") + ".")]
            }
    }

    private static func section(_ title: String, _ arguments: [CommandDump.Argument]) -> [String] {
        guard !arguments.isEmpty else { return [] }
        return [".SH \(title)"]
            + arguments.flatMap { argument -> [String] in
                let value = "\\fI\(plain(argument.valueName ?? ""))\\fR"
                let names = (argument.names ?? []).map { "\\fB\(plain($0.text))\\fR" }.joined(separator: ", ")
                let tag =
                    switch argument.kind {
                    case .positional: value
                    case .flag: names
                    case .option: "\(names) \(value)"
                    }
                var help = argument.abstract ?? ""
                if let values = argument.allValues, !values.isEmpty, argument.kind == .option {
                    help += " One of: \(values.joined(separator: ", "))."
                }
                if let standard = argument.defaultValue, !standard.isEmpty, argument.kind == .option {
                    help += " Default: \(standard)."
                }
                return [".TP", tag, line(help)]
            }
    }

    /// Paragraphs as they are, and indented lines as examples.
    private static func paragraphs(_ text: String) -> [String] {
        var lines: [String] = []
        var isExample = false
        for raw in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let isIndented = raw.hasPrefix("  ")
            if isIndented != isExample {
                lines += isIndented ? [".PP", ".RS 4", ".nf"] : [".fi", ".RE"]
                isExample = isIndented
            }
            if raw.isEmpty {
                if !lines.isEmpty { lines.append(".PP") }
            } else {
                lines.append(line(String(isIndented ? raw.dropFirst(2) : raw)))
            }
        }
        if isExample { lines += [".fi", ".RE"] }
        while let last = lines.last, last == ".PP" { lines.removeLast() }
        // A paragraph before an example would be empty.
        var result: [String] = []
        for each in lines {
            if each == ".PP", result.last == ".PP" { continue }
            result.append(each)
        }
        return result
    }

    /// A line of text that is no request, whatever it begins with.
    static func line(_ text: String) -> String {
        let plain = plain(text)
        return plain.hasPrefix(".") || plain.hasPrefix("'") ? "\\&" + plain : plain
    }

    /// Text in which nothing means something to roff; hyphens and quotes stay what is typed.
    static func plain(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "'": result += "\\(aq"
            case "`": result += "\\(ga"
            case "^": result += "\\(ha"
            case "~": result += "\\(ti"
            default: result.append(character)
            }
        }
    }

    private static func quoted(_ text: String) -> String { "\"\(plain(text))\"" }

    /// What stands behind the name in lists of pages: no capital, no full stop.
    private static func sentence(_ text: String) -> String {
        var text = text.prefix(1).lowercased() + text.dropFirst()
        while text.last == "." { text.removeLast() }
        return text
    }
}
