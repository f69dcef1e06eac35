// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Reads the XML that block maps are written in: elements, attributes, text, comments. What XML has beyond that
/// (entities, CDATA, document types, processing instructions inside) is a fault, not a guess.
///
/// An XML library would cost every start of the program more than all maps together.
struct MarkupScanner {
    enum Token: Equatable {
        case start(name: String, attributes: [String: String])
        case end(name: String)
        /// White space at both ends is taken off; never empty.
        case text(String)
    }

    struct Fault: Error {
        let line: Int
        let message: String
    }

    private let bytes: [UInt8]
    private var position = 0
    /// The name of an element that was written `<name/>`: its end comes next.
    private var closing: String?
    /// The line that the next token is looked for in, from 1.
    private(set) var line = 1

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        // A byte order mark is no content.
        if has("\u{FEFF}") { position = 3 }
        if has("<?xml ") { position = Self.end(of: "?>", in: bytes, from: position) ?? position }
        line += bytes[..<position].count { $0 == UInt8(ascii: "\n") }
    }

    /// - Returns: nil at the end of the text.
    mutating func next() throws(Fault) -> Token? {
        if let name = closing {
            closing = nil
            return .end(name: name)
        }
        while position < bytes.count {
            if has("<!--") {
                try skip(past: "-->", what: "a comment")
            } else if has("</") {
                return .end(name: try endTag())
            } else if has("<") {
                return try startTag()
            } else if let text = try text() {
                return .text(text)
            }
        }
        return nil
    }

    func fault(_ message: String) -> Fault { Fault(line: line, message: message) }

    // MARK: - Tokens

    private mutating func startTag() throws(Fault) -> Token {
        advance()
        let name = try name()
        var attributes: [String: String] = [:]
        while true {
            let spaced = skipSpace()
            if has("/>") {
                position += 2
                closing = name
                return .start(name: name, attributes: attributes)
            }
            if has(">") {
                advance()
                return .start(name: name, attributes: attributes)
            }
            guard spaced else { throw fault("<\(name)> is not closed") }
            let key = try self.name()
            skipSpace()
            guard has("=") else { throw fault("the attribute \(key) has no value") }
            advance()
            skipSpace()
            guard attributes.updateValue(try quoted(key), forKey: key) == nil else {
                throw fault("the attribute \(key) is there twice")
            }
        }
    }

    private mutating func endTag() throws(Fault) -> String {
        position += 2
        let name = try name()
        skipSpace()
        guard has(">") else { throw fault("</\(name)> is not closed") }
        advance()
        return name
    }

    private mutating func quoted(_ key: String) throws(Fault) -> String {
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") || bytes[position] == UInt8(ascii: "'")
        else {
            throw fault("the value of \(key) has no quotes")
        }
        let quote = bytes[position]
        advance()
        let start = position
        while position < bytes.count, bytes[position] != quote {
            guard bytes[position] != UInt8(ascii: "<"), bytes[position] != UInt8(ascii: "&") else {
                throw fault("the value of \(key) holds a character that is not read here")
            }
            advance()
        }
        guard position < bytes.count else { throw fault("the value of \(key) does not end") }
        let value = String(decoding: bytes[start..<position], as: UTF8.self)
        advance()
        return value
    }

    /// Text up to the next tag; nil when it is nothing but white space. The line is that of its first word.
    private mutating func text() throws(Fault) -> String? {
        skipSpace()
        let start = position
        var end = position
        while end < bytes.count, bytes[end] != UInt8(ascii: "<") {
            guard bytes[end] != UInt8(ascii: "&") else { throw fault("entities (&...;) are not read here") }
            end += 1
        }
        while end > start, Self.isSpace(bytes[end - 1]) { end -= 1 }
        guard end > start else { return nil }
        position = end
        line += bytes[start..<end].count { $0 == UInt8(ascii: "\n") }
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    private mutating func name() throws(Fault) -> String {
        let start = position
        while position < bytes.count, Self.isNamePart(bytes[position]) { position += 1 }
        guard position > start else { throw fault("a name was expected here") }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    // MARK: - Bytes

    private mutating func advance() {
        if bytes[position] == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    @discardableResult
    private mutating func skipSpace() -> Bool {
        let start = position
        while position < bytes.count, Self.isSpace(bytes[position]) { advance() }
        return position > start
    }

    private mutating func skip(past end: StaticString, what: String) throws(Fault) {
        guard let found = Self.end(of: end, in: bytes, from: position) else { throw fault("\(what) does not end") }
        line += bytes[position..<found].count { $0 == UInt8(ascii: "\n") }
        position = found
    }

    private func has(_ word: StaticString) -> Bool { Self.has(word, in: bytes, at: position) }

    private static func has(_ word: StaticString, in bytes: [UInt8], at position: Int) -> Bool {
        // SAFETY: a static string's bytes live as long as the program.
        let word = unsafe UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard bytes.count - position >= word.count else { return false }
        return unsafe bytes[position..<(position + word.count)].elementsEqual(word)
    }

    /// The position behind the next `word`.
    private static func end(of word: StaticString, in bytes: [UInt8], from start: Int) -> Int? {
        let length = word.utf8CodeUnitCount
        var position = start
        while position + length <= bytes.count {
            if has(word, in: bytes, at: position) { return position + length }
            position += 1
        }
        return nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || (9...10).contains(byte) || byte == 13
    }

    private static func isNamePart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
