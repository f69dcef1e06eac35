// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// `--secret NAME=FILE`: a file that scripts can read while they run. It is no part of the plan: not of its keys, and of
/// nothing that is kept.
package struct BuildSecret: Sendable, Equatable {
    package let name: String
    /// On this machine.
    package let path: String

    /// - Parameter text: `NAME=FILE`.
    /// - Throws: `usage`.
    package init(_ text: String) throws {
        let (name, value) = try BuildArgument.split(text, option: "--secret", value: "FILE")
        guard name.isASCIIAlphanumeric(or: "_.-"), !name.hasPrefix("."), !name.hasPrefix("-"), !value.isEmpty else {
            throw FlashlayerError(
                .usage,
                "'\(name.printable)' cannot name a secret, or no file is named",
                advice: "--secret NAME=FILE, with a name of letters, digits, '_', '.' and '-'"
            )
        }
        self.name = name
        path = Path.absolute(value)
    }
}

/// `--set KEY=VALUE`: a variable for scripts.
package enum BuildArgument {
    /// - Throws: `usage`.
    package static func variables(_ texts: [String]) throws -> [Layer.Variable] {
        var variables: [String: String] = [:]
        for text in texts {
            let (key, value) = try split(text, option: "--set", value: "VALUE")
            guard EnvironmentFile.isKey(key), !key.hasPrefix("FLASHLAYER_") else {
                throw FlashlayerError(
                    .usage,
                    "--set \(text.printable): '\(key.printable)' cannot be set",
                    advice: "a name is made of letters, digits and '_', and does not start with a digit or FLASHLAYER_"
                )
            }
            variables[key] = value
        }
        // By name: the order of the command line changes nothing.
        return variables.sorted { $0.key < $1.key }.map { Layer.Variable(key: $0.key, value: $0.value) }
    }

    static func split(_ text: String, option: String, value: String) throws -> (name: String, value: String) {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            throw FlashlayerError(
                .usage,
                "\(option) \(text.printable) is not NAME=\(value)",
                advice: "for example: \(option) site=\(value == "FILE" ? "site.key" : "lobby")"
            )
        }
        return (String(text[..<equals]), String(text[text.index(after: equals)...]))
    }
}
