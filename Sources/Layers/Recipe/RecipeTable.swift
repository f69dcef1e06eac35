// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import TOMLKit

/// What is wrong with a recipe, gathered so that one run tells all of it.
final class RecipeFaults {
    let file: String
    let code: ErrorCode
    private var faults: [(line: Int, text: String)] = []

    init(file: String, code: ErrorCode = .badRecipe) {
        self.file = file
        self.code = code
    }

    func add(_ line: Int, _ text: String) {
        faults.append((line, text))
    }

    /// In the order of their lines.
    func report(to findings: Findings) {
        let sorted = faults.enumerated().sorted { ($0.element.line, $0.offset) < ($1.element.line, $1.offset) }
        for fault in sorted.map(\.element) {
            findings.add(Fault(.error, code, file: file, line: fault.line, fault.text))
        }
    }
}

/// A table of the recipe that notes every wrong type and unknown key instead of overlooking it.
struct RecipeTable {
    let table: TOMLTable
    let path: LineIndex.Path
    let lines: LineIndex
    let faults: RecipeFaults

    var line: Int { lines.line(of: path) }

    func line(of key: String) -> Int { lines.line(of: path + [key]) }

    func fault(_ key: String, _ text: String) {
        faults.add(line(of: key), text)
    }

    /// `[image]`, `[[layer]]`, or "the recipe" for the root.
    var name: String {
        let names = path.filter { !$0.hasPrefix("#") }
        guard !names.isEmpty else { return "the recipe" }
        let joined = names.joined(separator: ".")
        return path.last?.hasPrefix("#") == true ? "[[\(joined)]]" : "[\(joined)]"
    }

    /// Notes every key that is not among `known`.
    ///
    /// - Parameter elsewhere: keys that live in other tables, with the table's name.
    func allow(_ known: [String], elsewhere: [String: String] = [:]) {
        for key in table.keys where !known.contains(key) {
            let hint =
                if let near = NearMiss.of(key, among: known) {
                    "did you mean '\(near)'?"
                } else if let home = elsewhere[key] {
                    "it belongs in \(home)"
                } else {
                    "known here: \(known.joined(separator: ", "))"
                }
            fault(key, "unknown key '\(key)' in \(name): \(hint)")
        }
    }

    func string(_ key: String) -> String? {
        value(key, "a string in quotes") { $0.string }
    }

    /// A string that stands for a file name, a word, ...: never empty, no control characters.
    func text(_ key: String, _ expected: String, where isGood: (String) -> Bool = { _ in true }) -> String? {
        guard let text = string(key) else { return nil }
        guard !text.isEmpty, !text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }), isGood(text)
        else {
            fault(key, "'\(key)' must be \(expected), not \(RecipeTable.quoted(text))")
            return nil
        }
        return text
    }

    func bool(_ key: String) -> Bool? {
        value(key, "true or false") { $0.bool }
    }

    func integer(_ key: String, _ expected: String, in range: ClosedRange<Int>) -> Int? {
        value(key, expected) { value in value.int.flatMap { range.contains($0) ? $0 : nil } }
    }

    /// An array of strings.
    func strings(_ key: String) -> [String]? {
        guard let array = value(key, "an array of strings", { $0.array }) else { return nil }
        var strings: [String] = []
        for (index, element) in array.enumerated() {
            guard let string = element.string else {
                let line = lines.line(of: path + [key, LineIndex.element(index)])
                faults.add(
                    line,
                    "'\(key)' must be an array of strings, but element \(index + 1) is \(Self.word(element))"
                )
                return nil
            }
            strings.append(string)
        }
        return strings
    }

    func table(_ key: String) -> RecipeTable? {
        value(key, "a table") { $0.table }.map { table in
            RecipeTable(table: table, path: path + [key], lines: lines, faults: faults)
        }
    }

    /// The elements of `[[key]]`; an empty `[key]` counts as none.
    func tables(_ key: String) -> [RecipeTable] {
        if let table = table[key]?.table, table.isEmpty { return [] }
        guard let array = value(key, "an array of tables, each starting with [[\(key)]]", { $0.array }) else {
            return []
        }
        return array.enumerated().compactMap { index, element in
            let path = path + [key, LineIndex.element(index)]
            guard let table = element.table else {
                faults.add(lines.line(of: path), "'\(key)' must be an array of tables, each starting with [[\(key)]]")
                return nil
            }
            return RecipeTable(table: table, path: path, lines: lines, faults: faults)
        }
    }

    private func value<Value>(_ key: String, _ expected: String, _ read: (any TOMLValueConvertible) -> Value?) -> Value?
    {
        guard let found = table[key] else { return nil }
        if let value = read(found) { return value }
        fault(key, "'\(key)' must be \(expected), not \(Self.word(found))")
        return nil
    }

    static func word(_ value: any TOMLValueConvertible) -> String {
        switch value.type {
        case .table: "a table"
        case .array: "an array"
        case .string: "the string \(quoted(value.string ?? ""))"
        case .int: "the number \(value.int ?? 0)"
        case .double: "the number \(value.double ?? 0)"
        case .bool: value.bool == true ? "true" : "false"
        case .date: "a date"
        case .time: "a time"
        case .dateTime: "a date and time"
        }
    }

    static func quoted(_ text: String) -> String { "\"\(text.printable)\"" }
}

extension RecipeTable {
    /// The root of a file.
    ///
    /// - Throws: the faults' code for what is no TOML at all.
    init(_ text: String, file: String, faults: RecipeFaults) throws {
        // The C++ parser takes a C string: it would silently stop at a NUL.
        if let nul = text.utf8.firstIndex(of: 0) {
            let line = text.utf8[..<nul].count { $0 == UInt8(ascii: "\n") } + 1
            throw FlashlayerError(faults.code, "\(file):\(line): the file holds a NUL byte; it is not a text file")
        }
        do {
            self.init(table: try TOMLTable(string: text), path: [], lines: LineIndex(text), faults: faults)
        } catch let error as TOMLParseError {
            let start = error.source.begin
            throw FlashlayerError(
                faults.code,
                "\(file):\(start.line):\(start.column): \(error.description)",
                advice: "the file is not valid TOML there; see https://toml.io"
            )
        }
    }
}
