// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Glibc
import Model

/// A tar archive as appliances are: plain ustar headers, which every importer reads, and nothing but files.
///
/// A file of 8 GiB or more does not fit the octal digits of ustar; its size is then binary, as GNU tar writes it and as
/// VMware's and VirtualBox's own readers take it.
struct ApplianceArchive: ~Copyable {
    /// A file in the archive, and where its bytes are.
    struct Member: Sendable {
        let name: String
        let offset: UInt64
        let size: UInt64
        let sha256: Digest
    }

    private let path: String
    private let descriptor: Int32
    private let modified: Int
    private var position: UInt64 = 0
    private(set) var members: [Member] = []

    /// - Parameter modified: of all files, in seconds since 1970.
    /// - Throws: `cannot-create`, `no-space`.
    init(path: String, modified: Int) throws {
        self.path = path
        self.modified = modified
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FlashlayerError.system("write \(path)", .current, code: .cannotCreate) }
    }

    deinit {
        close(descriptor)
    }

    mutating func add(_ name: String, _ text: String) throws {
        let bytes = Array(text.utf8)
        try begin(name, UInt64(bytes.count))
        try unsafe bytes.withUnsafeBytes { try unsafe write($0) }
        try end(name, UInt64(bytes.count), try SHA256.digest(of: bytes))
    }

    /// Adds a file of this machine. Blocks.
    ///
    /// - Parameters:
    ///   - size: what it has to have, in bytes.
    ///   - isCancelled: asked for each MiB.
    ///   - onProgress: is given the bytes done.
    mutating func add(
        _ name: String,
        file: String,
        size: UInt64,
        isCancelled: () -> Bool,
        onProgress: (UInt64) -> Void
    ) throws {
        try begin(name, size)
        let source = unsafe open(file, O_RDONLY | O_CLOEXEC)
        guard source >= 0 else { throw FlashlayerError.system("read \(file)", .current, code: .fault) }
        defer { close(source) }
        let buffer = AlignedBuffer(count: Int(ByteSize.mebibyte))
        var hash = try SHA256()
        var done: UInt64 = 0
        while true {
            if isCancelled() { throw FlashlayerError(.interrupted, "interrupted") }
            let count = unsafe read(source, buffer.mutableBytes.baseAddress, buffer.mutableBytes.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw FlashlayerError.system("read \(file)", .current, code: .fault) }
            if count == 0 { break }
            let piece = unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count])
            unsafe hash.update(piece)
            try unsafe write(piece)
            done += UInt64(count)
            onProgress(done)
        }
        guard done == size else { throw FlashlayerError(.fault, "\(file) has \(done) bytes, and had \(size)") }
        try end(name, size, hash.finish())
    }

    /// Two empty blocks, and what fills up a record.
    mutating func finish() throws {
        let end = (position + 1024).roundedUp(to: 10240)
        try zeros(end - position)
        guard fsync(descriptor) == 0 else {
            throw FlashlayerError.system("write \(path)", .current, code: .cannotCreate)
        }
    }

    /// Reads every file of the archive again, from the medium where the system lets go of what it has in memory.
    ///
    /// - Throws: `verify-failed`.
    func verify(isCancelled: () -> Bool) throws {
        posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
        let buffer = AlignedBuffer(count: Int(ByteSize.mebibyte))
        for member in members {
            var hash = try SHA256()
            var done: UInt64 = 0
            while done < member.size {
                if isCancelled() { throw FlashlayerError(.interrupted, "interrupted") }
                let wanted = unsafe Int(min(UInt64(buffer.mutableBytes.count), member.size - done))
                let place = off_t(member.offset + done)
                let count = unsafe pread(descriptor, buffer.mutableBytes.baseAddress, wanted, place)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { break }
                unsafe hash.update(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
                done += UInt64(count)
            }
            guard hash.finish() == member.sha256 else {
                throw FlashlayerError(
                    .verifyFailed,
                    "\(member.name) in \(path) is not what was written",
                    advice: "the medium is not to be trusted; name another place"
                )
            }
        }
    }

    private mutating func begin(_ name: String, _ size: UInt64) throws {
        let header = try Self.header(name, size: size, modified: modified)
        try unsafe header.withUnsafeBytes { try unsafe write($0) }
    }

    private mutating func end(_ name: String, _ size: UInt64, _ sha256: Digest) throws {
        members.append(Member(name: name, offset: position - size, size: size, sha256: sha256))
        try zeros((512 - position % 512) % 512)
    }

    private mutating func zeros(_ count: UInt64) throws {
        let zeros = [UInt8](repeating: 0, count: Int(count))
        try unsafe zeros.withUnsafeBytes { try unsafe write($0) }
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = unsafe bytes[...]
        while unsafe !rest.isEmpty {
            let part = unsafe UnsafeRawBufferPointer(rebasing: rest)
            let count = unsafe Glibc.write(descriptor, part.baseAddress, part.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw FlashlayerError.system("write \(path)", .current, code: .cannotCreate) }
            unsafe rest = rest.dropFirst(count)
            position += UInt64(count)
        }
    }

    /// What ustar's eleven octal digits hold.
    private static let largestOctal: UInt64 = 0o77_777_777_777

    /// - Throws: `usage` for a name that ustar has no room for.
    static func header(_ name: String, size: UInt64, modified: Int) throws -> [UInt8] {
        guard name.utf8.count <= 100 else {
            throw FlashlayerError(
                .usage,
                "'\(Printable.line(name))' is too long for the name of a file in an appliance: at most 100 bytes",
                advice: "give the output a shorter name"
            )
        }
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: some Sequence<UInt8>, at offset: Int) {
            for (index, byte) in bytes.enumerated() { block[offset + index] = byte }
        }
        func octal(_ value: UInt64, at offset: Int, digits: Int) {
            let text = String(value, radix: 8)
            put((String(repeating: "0", count: max(0, digits - text.utf8.count)) + text).utf8, at: offset)
        }
        put(name.utf8, at: 0)
        octal(0o644, at: 100, digits: 7)
        octal(0, at: 108, digits: 7)
        octal(0, at: 116, digits: 7)
        if size <= largestOctal {
            octal(size, at: 124, digits: 11)
        } else {
            // GNU's: the first bit set, then the number, the highest byte first.
            block[124] = 0x80
            for index in 0..<8 { block[128 + index] = UInt8(truncatingIfNeeded: size >> (8 * (7 - UInt64(index)))) }
        }
        octal(UInt64(max(0, modified)), at: 136, digits: 11)
        block[156] = UInt8(ascii: "0")
        put("ustar\u{0}00".utf8, at: 257)
        put([UInt8](repeating: UInt8(ascii: " "), count: 8), at: 148)
        octal(block.reduce(0) { $0 + UInt64($1) }, at: 148, digits: 6)
        block[154] = 0
        return block
    }
}
