// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
package import Programs

/// The program under test, as a user runs it: the one that was built together with the tests.
package enum FlashlayerProgram {
    /// Beside the test bundle, which this process is.
    package static var path: String {
        get throws {
            let bundle = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            var folder = bundle[..<(bundle.lastIndex(of: "/") ?? bundle.startIndex)]
            while !folder.isEmpty {
                if Program.isExecutable("\(folder)/flashlayer") { return "\(folder)/flashlayer" }
                folder = folder[..<(folder.lastIndex(of: "/") ?? folder.startIndex)]
            }
            throw FlashlayerError(.unavailable, "the program is not built: run swift build first")
        }
    }

    /// Runs it to its end.
    package static func run(_ arguments: [String], environment: [String: String?] = [:]) async throws -> Program.Outcome
    {
        try await Program(at: try path).outcome(arguments, environment: environment)
    }

    /// Runs a shell script in which `$flashlayer` is the program, for what needs signals or pipes.
    package static func script(_ text: String, arguments: [String] = []) async throws -> Program.Outcome {
        try await Program("bash", debianPackage: "bash").outcome(
            ["-c", text, "bash"] + arguments,
            environment: ["flashlayer": try path]
        )
    }
}

extension Program.Outcome {
    /// The lines of `--json`, parsed: each is an object.
    package func events() throws -> [[String: JSONValue]] {
        try output.split(separator: "\n").map {
            try JSONDecoder().decode([String: JSONValue].self, from: Data($0.utf8))
        }
    }
}

/// Any JSON, for tests that look at what a program printed.
package enum JSONValue: Decodable, Equatable, Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    /// The items of a JSON text that is an array.
    package static func array(of text: String) throws -> [JSONValue] {
        try JSONDecoder().decode([JSONValue].self, from: Data(text.utf8))
    }

    package subscript(key: String) -> JSONValue? {
        if case .object(let object) = self { object[key] } else { nil }
    }

    package var text: String? {
        if case .string(let text) = self { text } else { nil }
    }

    package var number: Double? {
        if case .number(let number) = self { number } else { nil }
    }
}
