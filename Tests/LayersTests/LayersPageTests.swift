// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Testing

@Suite("docs/layers.md")
struct LayersPageTests {
    private func page() throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        return try String(contentsOfFile: "/\(root)/docs/layers.md", encoding: .utf8)
    }

    /// What stands between backquotes in the second column of the row that starts so.
    private func spellings(_ row: String) throws -> [String] {
        let line = try page().split(separator: "\n").first { $0.hasPrefix("| \(row) |") }
        let cell = try #require(line?.split(separator: "|").dropFirst().first)
        return cell.split(separator: "`").filter { !$0.contains(" ") && !$0.contains(",") }.map(String.init)
    }

    @Test(
        "names every place that is read, in order",
        arguments: [
            ("Debian packages", LayerSpellings.debianPackages), ("Red Hat packages", LayerSpellings.redHatPackages),
            ("Python packages", LayerSpellings.pythonPackages), ("environment", LayerSpellings.environment),
            ("dependencies", LayerSpellings.dependencies), ("exceptions", LayerSpellings.owners),
            ("files", [LayerSpellings.configs + "/"]), ("scripts", [LayerSpellings.scripts + "/"]),
        ]
    )
    func places(row: String, expected: [String]) throws {
        #expect(try spellings(row) == expected)
    }

    @Test("shows a recipe that is one, and describes each of its keys")
    func recipe() throws {
        let page = try page()
        let parts = page.split(separator: "```")
        let example = try #require(parts.first { $0.hasPrefix("toml\n") }).dropFirst("toml\n".count)
        let recipe = try Recipe(text: String(example), file: "docs/layers.md")
        #expect(recipe.layers.count == 1)
        var table = ""
        for line in example.split(separator: "\n") {
            if line.hasPrefix("["), !line.hasPrefix("[[") { table = line.dropFirst().prefix { $0 != "]" } + "." }
            if line.hasPrefix("[[") { break }
            guard let key = line.split(separator: " = ").first, line.contains(" = "), !line.hasPrefix("#") else {
                continue
            }
            #expect(page.contains("| `\(table)\(key)` |"), "\(table)\(key)")
        }
    }

    @Test("names every early folder and every phase")
    func names() throws {
        let page = try page()
        for folder in Plan.earlyFolders { #expect(page.contains("`\(folder)`")) }
        for phase in Phase.allCases { #expect(page.contains("| `\(phase.rawValue)` |")) }
    }

    @Test("describes the keys that a recipe may have, and no others")
    func keys() throws {
        let page = try page()
        var expected: Set<String> = []
        for table in RecipeSchema.tables {
            let header = table.header.filter { !"[]".contains($0) }
            switch header {
            case "vm", "variant.NAME", "layer": expected.insert(table.header)
            case "": expected.formUnion(table.keys.map(\.name))
            case "bootstrap = { ... }": for key in table.keys { #expect(page.contains("`\(key.name)`"), "\(key.name)") }
            default: expected.formUnion(table.keys.map { "\(header).\($0.name)" })
            }
            if header == "layer" {
                for key in table.keys { #expect(page.contains("`\(key.name)`") || page.contains("`\(key.name) =")) }
            }
        }
        // Rows of the two tables of keys.
        var found: Set<String> = []
        var isTable = false
        for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == "| key | value | without it |" { isTable = true }
            if !line.hasPrefix("|") { isTable = false }
            guard isTable, line.hasPrefix("| `"), let key = line.dropFirst(3).split(separator: "`").first else {
                continue
            }
            found.insert(String(key))
        }
        found.formSymmetricDifference(expected)
        // Its row leads to a table of its own.
        #expect(found == ["[[user]]"], "on one side only")
    }

    @Test("docs/export.md describes the keys of [vm], and no others")
    func machineKeys() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let page = try String(contentsOfFile: "/\(root)/docs/export.md", encoding: .utf8)
        let found = page.split(separator: "\n").filter { $0.hasPrefix("| `vm.") }
            .compactMap { $0.dropFirst("| `vm.".count).split(separator: "`").first.map(String.init) }
        let table = try #require(RecipeSchema.tables.first { $0.header == "[vm]" })
        #expect(found == table.keys.map(\.name))
    }

    @Test("describes each key of a user")
    func userKeys() throws {
        let page = try page()
        // The recipe's own list, as it stands in the fault about a key that is not in it.
        let message = failure(.badRecipe) {
            _ = try Recipe(text: "name = \"x\"\n[[user]]\nname = \"a\"\nqqqqqqqqqqq = 1", file: "r")
        }
        let keys = message.split(separator: "known here: ").last?.split(separator: ", ") ?? []
        #expect(keys.count >= 10)
        for key in keys { #expect(page.contains("| `user.\(key.prefix { $0 != " " })` |"), "\(key)") }
    }
}
