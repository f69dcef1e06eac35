// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// Recognises private keys by their text: PEM (RFC 7468), OpenSSH, OpenPGP and PuTTY.
enum PrivateKey {
    private static let begin = Array("-----BEGIN ".utf8)
    private static let words = Array("PRIVATE KEY".utf8)
    private static let putty = Array("PuTTY-User-Key-File-".utf8)

    /// The line that a private key starts at, counted from 1; nil when there is none.
    static func line(in bytes: [UInt8]) -> Int? {
        if bytes.starts(with: putty) { return 1 }
        guard bytes.count > begin.count else { return nil }
        // Nearly all files have no such line: look for it in the fastest way.
        var from = 0
        while let dash = firstDash(bytes, from: from) {
            let rest = bytes[dash...]
            let isLineStart = dash == 0 || bytes[dash - 1] == UInt8(ascii: "\n")
            if isLineStart, rest.starts(with: begin) {
                let label = rest.dropFirst(begin.count).prefix { $0 != UInt8(ascii: "\n") }
                if label.firstRange(of: words) != nil {
                    return bytes[..<dash].count { $0 == UInt8(ascii: "\n") } + 1
                }
            }
            from = dash + 1
        }
        return nil
    }

    private static func firstDash(_ bytes: [UInt8], from: Int) -> Int? {
        unsafe bytes.withUnsafeBytes { buffer in
            guard from < buffer.count, let start = buffer.baseAddress else { return nil }
            // SAFETY: memchr(3) looks at the bytes from `from` to the end of the buffer.
            let found = unsafe memchr(start + from, CInt(UInt8(ascii: "-")), buffer.count - from)
            return unsafe found.map { unsafe UnsafeRawPointer($0) - start }
        }
    }
}
