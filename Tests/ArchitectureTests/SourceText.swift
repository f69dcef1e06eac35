// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Just enough of Swift to read lines of it.
enum SourceText {
    /// The module that a line imports: `@testable import Model`, `package import struct Model.Extent`.
    static func importedModule(_ line: Substring) -> String? {
        var words = line.split(separator: " ")
        let modifiers: Set<Substring> = ["public", "package", "internal", "fileprivate", "private"]
        while let first = words.first, first.hasPrefix("@") || modifiers.contains(first) { words.removeFirst() }
        guard words.first == "import" else { return nil }
        let kinds: Set<Substring> = ["typealias", "struct", "class", "enum", "protocol", "let", "var", "func"]
        let name = words.dropFirst().first { !kinds.contains($0) }
        return name?.split(separator: ".").first.map(String.init)
    }

    /// What is left of a line without its comment.
    static func code(_ line: Substring) -> Substring {
        var previous: Character?
        for index in line.indices {
            // The slashes of a URL are not a comment.
            if line[index...].hasPrefix("//"), previous != ":" { return line[..<index] }
            previous = line[index]
        }
        return line
    }
}
