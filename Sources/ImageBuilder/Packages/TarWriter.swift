// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Layers
import Model

/// One thing in an archive.
struct TarMember {
    enum Kind {
        case directory
        /// Bytes.
        case file(size: UInt64)
        /// `extents` in ascending order, what lies between them is zeros; `size` of the whole in bytes.
        case sparse(size: UInt64, extents: [Extent])
        case symlink(target: Pathname)
        /// Another name of a file that stands earlier in the archive.
        case hardLink(to: Pathname)
    }

    /// Relative, without a slash at either end.
    var name: Pathname
    var kind: Kind
    var mode: UInt16
    var user: UInt32 = 0
    var group: UInt32 = 0
    /// Names go above numbers where whoever unpacks knows them.
    var userName = ""
    var groupName = ""
    /// Seconds since 1970.
    var modified: Int
    var attributes: [OverlayEntry.Attribute] = []
}

/// Writes a POSIX tar archive ("pax", see pax(1)): names and links of any bytes and length, and only what it is told.
/// Extended attributes and holes are written as GNU tar does, and as libarchive and Python read them.
struct TarWriter: ~Copyable {
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

    /// What a member needs around its content.
    private struct Layout {
        var name: [UInt8]
        var link: [UInt8] = []
        var type: UInt8
        /// Bytes that follow the header.
        var size: UInt64 = 0
        var records: [(key: String, value: [UInt8])] = []
        /// In front of a sparse file's data: where they belong.
        var map: [UInt8] = []
    }

    /// The bytes of a file follow by `write`, those of a sparse file's extents alone; then comes `pad`.
    mutating func add(_ member: TarMember) throws {
        let layout = Self.layout(member)
        var records = layout.records
        if layout.name.count > 100 { records.append(("path", layout.name)) }
        if layout.link.count > 100 { records.append(("linkpath", layout.link)) }
        if layout.size > Self.largestOctal { records.append(("size", Array("\(layout.size)".utf8))) }
        if member.user > Self.largestID { records.append(("uid", Array("\(member.user)".utf8))) }
        if member.group > Self.largestID { records.append(("gid", Array("\(member.group)".utf8))) }
        for attribute in member.attributes { records.append(("SCHILY.xattr.\(attribute.name)", attribute.value)) }
        if !records.isEmpty {
            let content = records.flatMap { Self.record($0.key, $0.value) }
            let pax = Layout(name: Array("pax".utf8), type: UInt8(ascii: "x"), size: UInt64(content.count))
            let plain = TarMember(name: "pax", kind: .directory, mode: 0o644, modified: member.modified)
            try write(Self.header(pax, plain))
            try write(content)
            try pad(pax.size)
        }
        try write(Self.header(layout, member))
        try write(layout.map)
    }

    private static func layout(_ member: TarMember) -> Layout {
        let name = member.name.bytes
        switch member.kind {
        case .directory:
            return Layout(name: name + [UInt8(ascii: "/")], type: UInt8(ascii: "5"))
        case .file(let size):
            return Layout(name: name, type: UInt8(ascii: "0"), size: size)
        case .symlink(let target):
            return Layout(name: name, link: target.bytes, type: UInt8(ascii: "2"))
        case .hardLink(let target):
            return Layout(name: name, link: target.bytes, type: UInt8(ascii: "1"))
        case .sparse(let size, let extents):
            // "Storing Sparse Files" in tar's manual, version 1.0. What reads no further finds a file of that name.
            var map = sparseMap(size, extents)
            map += [UInt8](repeating: 0, count: (512 - map.count % 512) % 512)
            let stored = extents.reduce(UInt64(map.count)) { $0 + $1.length }
            return Layout(
                name: Array("GNUSparseFile.0/sparse".utf8),
                type: UInt8(ascii: "0"),
                size: stored,
                records: [
                    ("GNU.sparse.major", Array("1".utf8)), ("GNU.sparse.minor", Array("0".utf8)),
                    ("GNU.sparse.name", name), ("GNU.sparse.realsize", Array("\(size)".utf8)),
                ],
                map: map
            )
        }
    }

    /// Numbers, one a line. A range of no length at the end says how far the last hole reaches.
    private static func sparseMap(_ size: UInt64, _ extents: [Extent]) -> [UInt8] {
        var ranges = extents.map { ($0.offset, $0.length) }
        if ranges.last.map({ $0.0 + $0.1 < size }) ?? true { ranges.append((size, 0)) }
        return Array("\(ranges.count)\n\(ranges.map { "\($0.0)\n\($0.1)\n" }.joined())".utf8)
    }

    /// The bytes of the file that was just added; they may come in pieces.
    mutating func write(_ bytes: some Collection<UInt8>) throws {
        pending.append(contentsOf: bytes)
        if pending.count >= 1 << 20 { try flush() }
    }

    /// Behind the last byte of a file.
    ///
    /// - Parameter size: how many bytes were written of it.
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
    private static let largestID: UInt32 = 0o7_777_777

    /// "LENGTH KEY=VALUE\n", where the length counts its own digits as well.
    private static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        let rest = key.utf8.count + value.count + 3
        var length = rest + 1
        while "\(length)".utf8.count + rest != length { length = "\(length)".utf8.count + rest }
        return Array("\(length) \(key)=".utf8) + value + [UInt8(ascii: "\n")]
    }

    private static func header(_ layout: Layout, _ member: TarMember) -> [UInt8] {
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
        put(layout.name, at: 0, limit: 100)
        octal(UInt64(member.mode & 0o7777), at: 100, digits: 7)
        octal(UInt64(min(member.user, largestID)), at: 108, digits: 7)
        octal(UInt64(min(member.group, largestID)), at: 116, digits: 7)
        octal(min(layout.size, largestOctal), at: 124, digits: 11)
        octal(UInt64(max(0, member.modified)), at: 136, digits: 11)
        block[156] = layout.type
        put(layout.link, at: 157, limit: 100)
        put("ustar\u{0}00".utf8, at: 257, limit: 8)
        put(member.userName.utf8, at: 265, limit: 32)
        put(member.groupName.utf8, at: 297, limit: 32)
        put([UInt8](repeating: UInt8(ascii: " "), count: 8), at: 148, limit: 8)
        let sum = block.reduce(0) { $0 + UInt64($1) }
        octal(sum, at: 148, digits: 6)
        block[154] = 0
        return block
    }
}
