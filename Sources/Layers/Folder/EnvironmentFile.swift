// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// A layer's `environment` file, read as pam_env(8) reads `/etc/environment`, where its lines end up: leading blanks and
/// `export ` do not count, lines that start with `#` are comments, and the value is everything after the first `=`, kept
/// to the letter.
enum EnvironmentFile {
    static func variables(
        _ text: String,
        file: String,
        _ findings: Findings
    ) -> [(variable: Layer.Variable, mention: Layer.Mention)] {
        LayerList.physicalLines(text).enumerated().compactMap { index, physical in
            let start = LayerList.trim(physical)
            guard !start.isEmpty, !start.hasPrefix("#") else { return nil }
            // Blanks at the end belong to the value; those at the start of the line belong to nobody.
            var line = physical.unicodeScalars[...]
            while let first = line.first, LayerList.isBlank(first) { line = line.dropFirst() }
            var entry = Substring(line)
            if entry.hasPrefix("export ") { entry = entry.dropFirst("export ".count) }

            guard let equals = entry.unicodeScalars.firstIndex(of: "=") else {
                findings.error(file, index + 1, "'\(String(entry).printable)' is not KEY=VALUE")
                return nil
            }
            let key = String(entry[..<equals])
            let value = String(entry.unicodeScalars[equals...].dropFirst())
            guard isKey(key) else {
                findings.error(
                    file,
                    index + 1,
                    "'\(key.printable)' is not the name of an environment variable",
                    hint: "a name is made of letters, digits and '_', and nothing stands between it and the '='"
                )
                return nil
            }
            guard !value.hasSuffix("\\") else {
                findings.error(
                    file,
                    index + 1,
                    "the value of \(key) ends in a backslash, which would swallow the next line of /etc/environment"
                )
                return nil
            }
            let mention = Layer.Mention(part: .variable, text: key, file: file, line: index + 1)
            return (Layer.Variable(key: key, value: value), mention)
        }
    }

    static func isKey(_ key: String) -> Bool {
        guard let first = key.utf8.first else { return false }
        return key.isASCIIAlphanumeric(or: "_") && !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
    }
}

extension Layer.Variable {
    /// What a session gets to see, and so what scripts are given: pam_env takes off a quote that starts the value, and
    /// then one that ends it. (It also cuts the value at a `#`, which nothing in the file can prevent; systemd does not.)
    package var unquoted: String {
        guard let first = value.first, Self.isQuote(first) else { return value }
        let rest = value.dropFirst()
        guard let last = rest.last, Self.isQuote(last) else { return String(rest) }
        return String(rest.dropLast())
    }

    private static func isQuote(_ character: Character) -> Bool { character == "\"" || character == "'" }
}
