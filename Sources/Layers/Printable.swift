// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

extension String {
    /// The text with control characters written as escapes, so that a file name cannot drive a terminal.
    package var printable: String {
        unicodeScalars.reduce(into: "") { text, scalar in
            switch scalar.value {
            case 0..<32, 127..<160: text += scalar.escaped(asASCII: true)
            default: text.unicodeScalars.append(scalar)
            }
        }
    }

    /// The order of the bytes, as `LC_ALL=C sort` has it. Swift's own `<` compares canonical equivalents.
    func precedesInBytes(_ other: String) -> Bool {
        utf8.lexicographicallyPrecedes(other.utf8)
    }
}

extension StringProtocol {
    /// Whether all bytes are ASCII letters, digits or among `others`.
    func isASCIIAlphanumeric(or others: String = "") -> Bool {
        utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default:
                others.utf8.contains(byte)
            }
        }
    }
}
