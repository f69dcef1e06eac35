// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Just enough of Swift to read lines of it.
enum SourceText {
    /// The module that a line imports: `@testable import Model`, `package import struct Model.Extent`. What is indented
    /// belongs to a text, such as a script of Python.
    static func importedModule(_ line: Substring) -> String? {
        guard line.first != " " else { return nil }
        var words = line.split(separator: " ")
        let modifiers: Set<Substring> = ["public", "package", "internal", "fileprivate", "private"]
        while let first = words.first, first.hasPrefix("@") || modifiers.contains(first) { words.removeFirst() }
        guard words.first == "import" else { return nil }
        let kinds: Set<Substring> = ["typealias", "struct", "class", "enum", "protocol", "let", "var", "func"]
        let name = words.dropFirst().first { !kinds.contains($0) }
        return name?.split(separator: ".").first.map(String.init)
    }

    /// What is left of each line without comments and without what stands in quotes.
    static func code(_ lines: [Substring]) -> [String] {
        var isText = false
        return lines.map { line in
            let parts = line.split(separator: "\"\"\"", omittingEmptySubsequences: false)
            var code = ""
            for (index, part) in parts.enumerated() {
                if index > 0 { isText.toggle() }
                if !isText { code += withoutQuotes(part) }
            }
            return code
        }
    }

    private static func withoutQuotes(_ line: Substring) -> String {
        var code = ""
        var isQuoted = false
        var previous: Character?
        for character in line {
            if character == "\"", previous != "\\" {
                isQuoted.toggle()
            } else if !isQuoted {
                if character == "/", previous == "/" { return String(code.dropLast()) }
                code.append(character)
            }
            previous = character
        }
        return code
    }
}
