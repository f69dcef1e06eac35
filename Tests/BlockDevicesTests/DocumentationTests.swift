// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Model
import Testing

@Suite("docs/devices-and-safety.md")
struct DocumentationTests {
    @Test("the table of rules is that of the program, line by line")
    func rules() throws {
        let page = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "docs/devices-and-safety.md")
        let lines = String(decoding: try Data(contentsOf: page), as: UTF8.self).split(separator: "\n")
        let start = try #require(lines.firstIndex { $0.hasPrefix("| code |") })
        let table = lines[(start + 2)...].prefix { $0.hasPrefix("|") }.map(String.init)
        let expected = Rule.all.map { rule in
            let code = rule.code.rawValue
            let lifted = rule.isOverridable ? "`--allow \(code)`" : "never"
            return "| `\(code)` | \(rule.sentence) | \(lifted) | \(rule.advice) |"
        }
        #expect(table == expected)
    }
}
