// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// A text file of a layer with one thing a line: comments and blank lines removed, line endings of any system.
struct LayerList {
    struct Line {
        let number: Int
        let text: Substring
    }

    enum Comment {
        /// Anything after `#`.
        case anywhere
        /// `#` at the start of the line or after a blank, so that `git+https://...#egg=x` stays whole.
        case afterBlank
        /// Only lines that start with `#`.
        case wholeLine
    }

    /// The file, absolute.
    let file: String
    let lines: [Line]

    init(_ text: String, file: String, comment: Comment) {
        self.file = file
        lines = Self.physicalLines(text).enumerated().compactMap { index, line in
            let text = Self.trim(Self.withoutComment(line, comment))
            return text.isEmpty ? nil : Line(number: index + 1, text: text)
        }
    }

    func mention(_ text: String, _ line: Line, _ part: Layer.Mention.Part) -> Layer.Mention {
        Layer.Mention(part: part, text: text, file: file, line: line.number)
    }

    /// Lines without their `\n` or `\r\n`, and without a byte order mark before the first.
    ///
    /// Works on scalars: as a Character, "\r\n" is one and not a newline that `split(separator: "\n")` would find.
    static func physicalLines(_ text: String) -> [Substring] {
        var scalars = text.unicodeScalars[...]
        if scalars.first == "\u{FEFF}" { scalars = scalars.dropFirst() }
        return scalars.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            Substring(line.last == "\r" ? line.dropLast() : line)
        }
    }

    static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" }

    static func trim(_ line: Substring) -> Substring {
        var scalars = line.unicodeScalars
        while let first = scalars.first, isBlank(first) { scalars = scalars.dropFirst() }
        while let last = scalars.last, isBlank(last) { scalars = scalars.dropLast() }
        return Substring(scalars)
    }

    private static func withoutComment(_ line: Substring, _ comment: Comment) -> Substring {
        var afterBlank = true
        for index in line.unicodeScalars.indices {
            let scalar = line.unicodeScalars[index]
            if scalar == "#" {
                switch comment {
                case .anywhere: return line[..<index]
                case .afterBlank where afterBlank: return line[..<index]
                case .wholeLine where trim(line[..<index]).isEmpty: return ""
                default: break
                }
            }
            afterBlank = isBlank(scalar)
        }
        return line
    }
}
