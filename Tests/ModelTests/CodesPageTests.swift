// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Testing

@Suite("docs/codes.md")
struct CodesPageTests {
    /// The rows of all its tables, cells trimmed.
    private func rows() throws -> [[String]] {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let page = try String(contentsOfFile: "/\(root)/docs/codes.md", encoding: .utf8)
        return page.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { row in
            row.dropFirst().split(separator: "|").map { cell in
                String(cell.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            }
        }
    }

    @Test("has every code once, in its place, with the status that it ends with and a meaning")
    func complete() throws {
        let rows = try rows()
        #expect(Set(rows.compactMap(\.first)) == Set(ErrorCode.allCases.map { "`\($0.rawValue)`" }))
        #expect(rows.count == ErrorCode.allCases.count)
        for row in rows {
            let code = ErrorCode(rawValue: (row.first ?? "").filter { $0 != "`" })
            #expect(row.dropFirst().first.flatMap { Int32($0) } == code?.exitStatus, "\(row)")
            #expect(row.dropFirst(2).first?.hasSuffix(".") == true, "\(row)")
        }
    }
}
