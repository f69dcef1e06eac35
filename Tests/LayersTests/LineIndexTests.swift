// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import TOMLKit
import TestSupport
import Testing

@testable import Layers

@Suite("Lines of a recipe")
struct LineIndexTests {
    @Test("every key of a random document is on the line where it was written", arguments: 0..<300)
    func random(seed: UInt64) throws {
        var writer = DocumentWriter(seed: seed)
        writer.write()
        // The scanner may rely on this.
        _ = try TOMLTable(string: writer.text)
        let index = LineIndex(writer.text)
        for (path, line) in writer.lines {
            #expect(index.line(of: path) == line, "\(path) in\n\(writer.text)")
        }
    }

    @Test("what is not there is on the line of the nearest table that is")
    func missing() {
        let index = LineIndex("a = 1\n\n[image]\nsize = 1\n")
        #expect(index.line(of: ["image", "grow"]) == 3)
        #expect(index.line(of: ["nowhere"]) == 1)
    }

    @Test("it ends on any text", arguments: 0..<300)
    func garbage(seed: UInt64) {
        var generator = SplitMix(seed: seed)
        let tokens = [
            "[", "]", "{", "}", "\"", "'", "\"\"\"", "'''", "=", ",", ".", "#", "\n", "\r\n", "\\", "a", " ", "ü", "1",
        ]
        let text = (0..<Int.random(in: 0..<60, using: &generator)).map { _ in
            tokens.randomElement(using: &generator) ?? ""
        }
        #expect(LineIndex(text.joined()).line(of: ["a"]) >= 1)
    }
}

/// Writes a valid document and remembers where it put each key. All keys differ.
private struct DocumentWriter {
    var text = ""
    var lines: [[String]: Int] = [:]
    private var line = 1
    private var keys = 0
    private var generator: SplitMix

    init(seed: UInt64) {
        generator = SplitMix(seed: seed)
    }

    mutating func write() {
        entries(in: [])
        for _ in 0..<Int.random(in: 0..<5, using: &generator) {
            let name = newKey()
            guard chance(2) else {
                note([name])
                put("[\(name)] # [[x]]\n")
                entries(in: [name])
                continue
            }
            for element in 0..<Int.random(in: 1..<4, using: &generator) {
                note([name, "#\(element)"])
                put("[[ \(name) ]]\n")
                entries(in: [name, "#\(element)"])
                guard chance(3) else { continue }
                let sub = newKey()
                note([name, "#\(element)", sub])
                put("[\(name).\(sub)]\n")
                entries(in: [name, "#\(element)", sub])
            }
        }
    }

    private mutating func entries(in table: [String]) {
        for _ in 0..<Int.random(in: 0..<5, using: &generator) {
            if chance(4) { put(["\n", "# \"\"\" [decoy] = {\n", "\t# '\n"].randomElement(using: &generator) ?? "") }
            entry(in: table)
            put(chance(4) ? " # ]}\"\n" : "\n")
        }
    }

    private mutating func entry(in table: [String], inline: Bool = false) {
        var path = table + [newKey()]
        note(path)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: put("\"\(path.last ?? "")\" = ")
        case 1:
            put("\(path.last ?? "").")
            path.append(newKey())
            note(path)
            put("\(path.last ?? "")=")
        default: put("\(path.last ?? "") = ")
        }
        value(at: path, inline: inline)
    }

    private mutating func value(at path: [String], inline: Bool, depth: Int = 0) {
        let plain = [
            "1", "true", "1979-05-27 07:32:00", "3.14", "\"a # ] } \\\" b\"", "'c:\\'", "\"\"", "''",
            "\"\"\"\n[decoy]\nd = \\\"\"\" \"\"\"\"", "'''\n# '' x\n'''",
        ]
        switch Int.random(in: 0..<(depth > 2 ? 4 : 7), using: &generator) {
        case 4:
            put(chance(2) ? "[" : "[ # [\n ")
            for element in 0..<Int.random(in: 0..<4, using: &generator) {
                note(path + ["#\(element)"])
                value(at: path + ["#\(element)"], inline: inline, depth: depth + 1)
                put(chance(2) ? "," : " ,\n  ")
            }
            put("]")
        case 5:
            put("{ ")
            for entry in 0..<Int.random(in: 0..<3, using: &generator) {
                if entry > 0 { put(", ") }
                self.entry(in: path, inline: true)
            }
            put(" }")
        default:
            put(plain.randomElement(using: &generator) ?? "1")
        }
    }

    private mutating func newKey() -> String {
        keys += 1
        return "k\(keys)"
    }

    private mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &generator) == 0 }

    private mutating func note(_ path: [String]) { lines[path] = line }

    private mutating func put(_ piece: String) {
        text += piece
        line += piece.utf8.count { $0 == UInt8(ascii: "\n") }
    }
}
