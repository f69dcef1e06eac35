// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

extension String {
    /// One word for a POSIX shell, whatever is in it.
    package var shellQuoted: String {
        "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

extension Pathname {
    /// For a shell's `printf %b`: plain letters, and all else as octal numbers.
    var printfText: String {
        bytes.reduce(into: "") { text, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "-")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                text.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 8)
                text += "\\0" + String(repeating: "0", count: 3 - digits.utf8.count) + digits
            }
        }
    }
}
