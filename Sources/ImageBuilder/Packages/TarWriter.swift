// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// Writes a POSIX tar archive ("pax", see pax(1)): names and links of any length, and only what it is told.
struct TarWriter: ~Copyable {
    enum Kind {
        case directory
        case file(size: UInt64)
        case symlink(target: String)
    }

    private let descriptor: Int32
    private let path: String
    private var pending: [UInt8] = []

    /// - Throws: `cannot-create`, `no-space`.
    init(path: String) throws {
        self.path = path
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FlashlayerError.system("write \(path)", .current, code: .cannotCreate) }
    }

    deinit {
        close(descriptor)
    }

    /// - Parameters:
    ///   - name: relative, without a slash at either end.
    ///   - modified: seconds since 1970.
    mutating func add(_ name: String, _ kind: Kind, mode: UInt16, user: UInt32, group: UInt32, modified: Int) throws {
        var records: [(String, String)] = []
        let stored: String
        var link = ""
        var size: UInt64 = 0
        let type: UInt8
        switch kind {
        case .directory:
            stored = name + "/"
            type = UInt8(ascii: "5")
        case .file(let bytes):
            stored = name
            size = bytes
            type = UInt8(ascii: "0")
        case .symlink(let target):
            stored = name
            link = target
            type = UInt8(ascii: "2")
        }
        if stored.utf8.count > 100 { records.append(("path", stored)) }
        if link.utf8.count > 100 { records.append(("linkpath", link)) }
        if size > Self.largestOctal { records.append(("size", "\(size)")) }
        if !records.isEmpty {
            let text = records.map { Self.record($0.0, $0.1) }.joined()
            let content = Array(text.utf8)
            let header = Self.header(
                name: "pax",
                link: "",
                type: UInt8(ascii: "x"),
                mode: 0o644,
                user: 0,
                group: 0,
                size: UInt64(content.count),
                modified: modified
            )
            try write(header)
            try write(content)
            try pad(UInt64(content.count))
        }
        try write(
            Self.header(
                name: stored,
                link: link,
                type: type,
                mode: mode,
                user: user,
                group: group,
                size: size,
                modified: modified
            )
        )
    }

    /// The bytes of the file that was just added; they may come in pieces.
    mutating func write(_ bytes: some Collection<UInt8>) throws {
        pending.append(contentsOf: bytes)
        if pending.count >= 1 << 20 { try flush() }
    }

    /// Behind the last byte of a file.
    mutating func pad(_ size: UInt64) throws {
        try write([UInt8](repeating: 0, count: Int((512 - size % 512) % 512)))
    }

    mutating func finish() throws {
        try write([UInt8](repeating: 0, count: 1024))
        try flush()
    }

    private mutating func flush() throws {
        var rest = pending[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw FlashlayerError.system("write \(path)", .current, code: .cannotCreate) }
            rest = rest.dropFirst(count)
        }
        pending.removeAll(keepingCapacity: true)
    }

    private static let largestOctal: UInt64 = 0o77_777_777_777

    /// "LENGTH KEY=VALUE\n", where the length counts its own digits as well.
    private static func record(_ key: String, _ value: String) -> String {
        let rest = key.utf8.count + value.utf8.count + 3
        var length = rest + 1
        while "\(length)".utf8.count + rest != length { length = "\(length)".utf8.count + rest }
        return "\(length) \(key)=\(value)\n"
    }

    private static func header(
        name: String,
        link: String,
        type: UInt8,
        mode: UInt16,
        user: UInt32,
        group: UInt32,
        size: UInt64,
        modified: Int
    ) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: some Sequence<UInt8>, at offset: Int, limit: Int) {
            for (index, byte) in text.prefix(limit).enumerated() { block[offset + index] = byte }
        }
        func octal(_ value: UInt64, at offset: Int, digits: Int) {
            let text = String(value, radix: 8)
            put(
                (String(repeating: "0", count: max(0, digits - text.utf8.count)) + text).utf8,
                at: offset,
                limit: digits
            )
        }
        put(name.utf8, at: 0, limit: 100)
        octal(UInt64(mode & 0o7777), at: 100, digits: 7)
        octal(UInt64(user & 0o7777777), at: 108, digits: 7)
        octal(UInt64(group & 0o7777777), at: 116, digits: 7)
        octal(min(size, largestOctal), at: 124, digits: 11)
        octal(UInt64(max(0, modified)), at: 136, digits: 11)
        block[156] = type
        put(link.utf8, at: 157, limit: 100)
        put("ustar\u{0}00".utf8, at: 257, limit: 8)
        put([UInt8](repeating: UInt8(ascii: " "), count: 8), at: 148, limit: 8)
        let sum = block.reduce(0) { $0 + UInt64($1) }
        octal(sum, at: 148, digits: 6)
        block[154] = 0
        return block
    }
}
