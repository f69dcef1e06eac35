// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Where each key of a TOML document stands. TOMLKit forgets positions once it has parsed; error messages need them.
///
/// The text has been parsed by TOMLKit before, so this scanner only has to find its way through a valid document. It
/// never fails: what it cannot place is on the line of the nearest table that it can.
struct LineIndex {
    /// A key's way from the root; elements of arrays are `#0`, `#1`, ...
    typealias Path = [String]

    private var lines: [Path: Int] = [:]
    private var arrayCounts: [Path: Int] = [:]
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    init(_ text: String) {
        bytes = Array(text.utf8)
        scan()
    }

    /// The line of a key, counted from 1.
    func line(of path: Path) -> Int {
        var path = path[...]
        while !path.isEmpty {
            if let line = lines[Array(path)] { return line }
            path = path.dropLast()
        }
        return 1
    }

    /// nil: the key is nowhere.
    func exactLine(of path: Path) -> Int? { lines[path] }

    static func element(_ index: Int) -> String { "#\(index)" }

    private mutating func scan() {
        var table: Path = []
        while true {
            skipBlanks(newlines: true)
            guard let byte = peek() else { return }
            let start = position
            if byte == UInt8(ascii: "[") {
                table = header()
            } else {
                entry(in: table)
            }
            // Only a document that TOMLKit would have refused gets here without a step forward.
            if position == start { advance() }
        }
    }

    /// `[a.b]` or `[[a.b]]`.
    private mutating func header() -> Path {
        advance()
        let isArray = peek() == UInt8(ascii: "[")
        if isArray { advance() }
        var path: Path = []
        let names = keys()
        for (index, name) in names.enumerated() {
            path.append(name)
            note(path)
            let isLast = index == names.count - 1
            if isLast && isArray {
                let count = arrayCounts[path, default: 0]
                arrayCounts[path] = count + 1
                path.append(Self.element(count))
                note(path)
            } else if let count = arrayCounts[path] {
                path.append(Self.element(count - 1))
            }
        }
        while peek() == UInt8(ascii: "]") { advance() }
        return path
    }

    private mutating func entry(in table: Path) {
        var path = table
        for name in keys() {
            path.append(name)
            note(path)
        }
        skipBlanks(newlines: false)
        if peek() == UInt8(ascii: "=") { advance() }
        skipBlanks(newlines: false)
        value(at: path)
    }

    /// Bare, quoted and dotted keys, up to `=` or `]`.
    private mutating func keys() -> [String] {
        var names: [String] = []
        while true {
            skipBlanks(newlines: false)
            guard let byte = peek() else { return names }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                names.append(string())
            case UInt8(ascii: "."):
                advance()
            default:
                let start = position
                while let byte = peek(), Self.isBareKey(byte) { advance() }
                guard position > start else { return names }
                names.append(String(decoding: bytes[start..<position], as: UTF8.self))
            }
        }
    }

    private mutating func value(at path: Path) {
        switch peek() {
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            _ = string()
        case UInt8(ascii: "["):
            advance()
            var index = 0
            while let byte = skippingSeparators() {
                if byte == UInt8(ascii: "]") { break }
                let element = path + [Self.element(index)]
                note(element)
                let start = position
                value(at: element)
                if position == start { advance() }
                index += 1
            }
            advance()
        case UInt8(ascii: "{"):
            advance()
            while let byte = skippingSeparators() {
                if byte == UInt8(ascii: "}") { break }
                let start = position
                entry(in: path)
                if position == start { advance() }
            }
            advance()
        default:
            while let byte = peek(), !Self.endsPlainValue(byte) { advance() }
        }
    }

    /// Skips a string of any of the four kinds and returns its raw content, escapes untouched.
    private mutating func string() -> String {
        guard let quote = peek() else { return "" }
        let isBasic = quote == UInt8(ascii: "\"")
        let isMultiline = position + 2 < bytes.count && bytes[position + 1] == quote && bytes[position + 2] == quote
        for _ in 0..<(isMultiline ? 3 : 1) { advance() }
        let start = position
        while let byte = peek() {
            if isBasic && byte == UInt8(ascii: "\\") {
                advance()
                advance()
            } else if byte == quote && (!isMultiline || closesMultiline(quote)) {
                break
            } else {
                advance()
            }
        }
        let content = String(decoding: bytes[start..<min(position, bytes.count)], as: UTF8.self)
        for _ in 0..<(isMultiline ? 3 : 1) { advance() }
        return content
    }

    /// Three quotes with none after them: up to two quotes may stand directly before the closing three.
    private func closesMultiline(_ quote: UInt8) -> Bool {
        guard position + 2 < bytes.count, bytes[position + 1] == quote, bytes[position + 2] == quote else {
            return false
        }
        return position + 3 >= bytes.count || bytes[position + 3] != quote
    }

    private mutating func skippingSeparators() -> UInt8? {
        skipBlanks(newlines: true)
        while peek() == UInt8(ascii: ",") {
            advance()
            skipBlanks(newlines: true)
        }
        return peek()
    }

    private mutating func skipBlanks(newlines: Bool) {
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), 0xEF, 0xBB, 0xBF:
                advance()
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                guard newlines else { return }
                advance()
            case UInt8(ascii: "#"):
                guard newlines else { return }
                while let byte = peek(), byte != UInt8(ascii: "\n") { advance() }
            default:
                return
            }
        }
    }

    private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func advance() {
        if peek() == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    /// The first mention counts: `[[layer]]` names `layer` again and again.
    private mutating func note(_ path: Path) {
        if lines[path] == nil { lines[path] = line }
    }

    private static func isBareKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default:
            false
        }
    }

    private static func endsPlainValue(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: "#"), UInt8(ascii: "\n"): true
        default: false
        }
    }
}
