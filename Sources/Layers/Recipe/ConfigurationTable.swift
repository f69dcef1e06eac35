// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model
import TOMLKit

/// A table of another TOML file than a recipe, read just as strictly: this room is the only one that knows TOML.
package struct ConfigurationTable {
    private let table: RecipeTable

    /// Reads a whole file and tells all that is wrong with it at once, each with its line.
    ///
    /// - Parameters:
    ///   - file: its name in messages.
    ///   - code: what its faults are.
    ///   - body: takes what it knows from the root, and notes what it cannot take.
    /// - Throws: `code`.
    package static func read<Value>(
        _ text: String,
        file: String,
        code: ErrorCode,
        _ body: (ConfigurationTable) -> Value
    ) throws -> Value {
        let faults = RecipeFaults(file: file, code: code)
        let value = body(ConfigurationTable(table: try RecipeTable(text, file: file, faults: faults)))
        let findings = Findings()
        faults.report(to: findings)
        try findings.throwErrors()
        return value
    }

    /// Notes every key that is not among `known`.
    package func allow(_ known: [String]) { table.allow(known) }

    /// nil when it is missing, or is not what was expected, which is noted.
    package func text(_ key: String, _ expected: String, where isGood: (String) -> Bool) -> String? {
        table.text(key, expected, where: isGood)
    }

    package func integer(_ key: String, _ expected: String, in range: ClosedRange<Int>) -> Int? {
        table.integer(key, expected, in: range)
    }

    /// The elements of `[[key]]`.
    package func tables(_ key: String) -> [ConfigurationTable] { table.tables(key).map(ConfigurationTable.init) }

    /// Notes that something is wrong with a key; without one, with the table.
    package func fault(_ key: String? = nil, _ text: String) {
        if let key { table.fault(key, text) } else { table.faults.add(table.line, text) }
    }

    package func has(_ key: String) -> Bool { table.table[key] != nil }
}
