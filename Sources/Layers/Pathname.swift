// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// A path as Linux has it: bytes, none of them NUL. Most are UTF-8, and nothing makes them so.
///
/// As text, in JSON and in messages, it reads as it is, except that a backslash is written `\\`, and a control character
/// or a byte that is no part of UTF-8 `\xHH`: so no two paths read the same, nothing is lost, and a path can be given
/// back as it was shown.
package struct Pathname: Hashable, Sendable {
    package let bytes: [UInt8]

    package init(_ bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
    }

    package init(_ string: String) {
        bytes = Array(string.utf8)
    }

    /// Undoes `text`; nil for what is no such text.
    package init?(text: String) {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "\\"):
                bytes.append(byte)
            case UInt8(ascii: "x"):
                let digits = rest.prefix(2)
                guard digits.count == 2, let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) else {
                    return nil
                }
                bytes.append(value)
                rest = rest.dropFirst(2)
            default:
                return nil
            }
        }
        self.bytes = bytes
    }

    /// The path, if it is UTF-8.
    package var string: String? { String(validating: bytes, as: UTF8.self) }

    package var text: String {
        let backslash = UInt8(ascii: "\\")
        if !bytes.contains(backslash), let string, string.printable == string { return string }
        var text = ""
        var rest = bytes[...]
        while let byte = rest.first {
            // The first byte of a character says how many follow; see RFC 3629.
            let length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
            if byte == backslash {
                text += "\\\\"
                rest = rest.dropFirst()
            } else if let character = String(validating: rest.prefix(length), as: UTF8.self),
                character.printable == character
            {
                text += character
                rest = rest.dropFirst(length)
            } else {
                text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
                rest = rest.dropFirst()
            }
        }
        return text
    }

    package var isEmpty: Bool { bytes.isEmpty }

    /// What stands behind the last slash.
    package var name: Pathname {
        Pathname(bytes.reversed().prefix { $0 != UInt8(ascii: "/") }.reversed())
    }

    /// What stands before the last slash; nil where there is none.
    package var parent: Pathname? {
        bytes.lastIndex(of: UInt8(ascii: "/")).map { Pathname(bytes[..<$0]) }
    }

    package func appending(_ name: Pathname) -> Pathname {
        isEmpty ? name : name.isEmpty ? self : Pathname(bytes + [UInt8(ascii: "/")] + name.bytes)
    }

    /// Whether it is `folder` or lies below it.
    package func isWithin(_ folder: Pathname) -> Bool {
        bytes.starts(with: folder.bytes)
            && (bytes.count == folder.bytes.count || bytes[folder.bytes.count] == UInt8(ascii: "/"))
    }

    /// As system calls take it.
    package func withCString<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        // SAFETY: an array passed as a pointer to a call is there, with its NUL, for as long as the call runs.
        try unsafe body(bytes.map { CChar(bitPattern: $0) } + [0])
    }
}

extension Pathname: ExpressibleByStringLiteral {
    package init(stringLiteral value: String) {
        self.init(value)
    }
}

extension Pathname: CustomStringConvertible {
    package var description: String { text }
}

extension Pathname: Comparable {
    /// The order of the bytes, as `LC_ALL=C sort` has it.
    package static func < (first: Pathname, second: Pathname) -> Bool {
        let common = min(first.bytes.count, second.bytes.count)
        let order = unsafe first.bytes.withUnsafeBytes { a in
            unsafe second.bytes.withUnsafeBytes { b -> Int32 in
                guard let a = a.baseAddress, let b = b.baseAddress else { return 0 }
                // SAFETY: both arrays hold at least `common` bytes.
                return unsafe memcmp(a, b, common)
            }
        }
        return order == 0 ? first.bytes.count < second.bytes.count : order < 0
    }
}

extension Pathname: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let path = Pathname(text: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not the text of a path")
        }
        self = path
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
