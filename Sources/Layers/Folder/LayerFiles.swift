// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Glibc
import Model

/// Reads what lies in a layer folder. Nothing in it is ever read through a symbolic link: a layer may come from
/// strangers, and a link could point at any file of this machine.
struct LayerFiles {
    enum Kind: Equatable {
        case directory, file, symlink
        /// Neither of these: "a device", "a socket", ...
        case other(String)
    }

    struct Status {
        let kind: Kind
        /// Permission bits, with set-user-ID, set-group-ID and sticky.
        let mode: UInt16
        /// Device and inode: the same for two paths exactly if they name the same file.
        let identity: [UInt64]
        /// How many names the file has.
        let links: UInt64
    }

    /// The folder, absolute.
    let root: String

    func path(_ relative: Pathname) -> Pathname {
        relative.isEmpty ? Pathname(root) : Pathname(root).appending(relative)
    }

    /// What stands at a path, the last link not followed.
    ///
    /// - Returns: nil when nothing does.
    func status(_ relative: Pathname) throws -> Status? {
        try Self.status(path(relative), followingLinks: false)
    }

    static func status(_ path: String, followingLinks: Bool) throws -> Status? {
        try status(Pathname(path), followingLinks: followingLinks)
    }

    private static func status(_ path: Pathname, followingLinks: Bool) throws -> Status? {
        var status = stat()
        // SAFETY: both calls fill the structure they are given; the path is a C string for the call.
        let failed = unsafe path.withCString { unsafe followingLinks ? stat($0, &status) : lstat($0, &status) } != 0
        if failed {
            let error = Errno.current
            if error.value == ENOENT || error.value == ENOTDIR { return nil }
            throw FlashlayerError.system("read \(path)", error, code: .badLayer)
        }
        let kind: Kind =
            switch status.st_mode & S_IFMT {
            case S_IFDIR: .directory
            case S_IFREG: .file
            case S_IFLNK: .symlink
            case S_IFIFO: .other("a pipe")
            case S_IFSOCK: .other("a socket")
            case S_IFBLK, S_IFCHR: .other("a device")
            default: .other("of an unknown kind")
            }
        return Status(
            kind: kind,
            mode: UInt16(status.st_mode & 0o7777),
            identity: [UInt64(status.st_dev), UInt64(status.st_ino)],
            links: UInt64(status.st_nlink)
        )
    }

    /// The names in a folder, in the order of their bytes.
    func names(in relative: Pathname) throws -> [Pathname] {
        let folder = path(relative)
        guard let stream = unsafe folder.withCString({ unsafe opendir($0) }) else {
            throw FlashlayerError.system("read the folder \(folder)", .current, code: .badLayer)
        }
        // SAFETY: the stream is open until the end of this function; readdir(3) gives an entry that holds, with its
        // NUL-terminated name, until the next call on this stream, and the name is copied before.
        defer { unsafe closedir(stream) }
        var names: [Pathname] = []
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else {
                    throw FlashlayerError.system("read the folder \(folder)", .current, code: .badLayer)
                }
                return names.sorted()
            }
            let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
            let start = unsafe UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: UInt8.self)
            let name = unsafe Pathname(UnsafeBufferPointer(start: start, count: strlen(start)))
            if name != "." && name != ".." { names.append(name) }
        }
    }

    /// Where a symbolic link points, as it is stored.
    func linkTarget(_ relative: Pathname) throws -> Pathname {
        let path = path(relative)
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe path.withCString { path in
                guard let start = bytes.baseAddress else { return 0 }
                // SAFETY: readlink(2) writes at most the count it is given, and no NUL.
                return unsafe readlink(path, start.assumingMemoryBound(to: CChar.self), bytes.count)
            }
        }
        guard count >= 0 else {
            throw FlashlayerError.system("read the link \(path)", .current, code: .badLayer)
        }
        return Pathname(buffer.prefix(count))
    }

    /// The text of one of the layer's own files; nil when it is not UTF-8.
    ///
    /// - Throws: `bad-layer` when it is not a regular file.
    func text(_ relative: Pathname) throws -> String? {
        var bytes: [UInt8] = []
        unsafe try read(relative) { unsafe bytes.append(contentsOf: $0) }
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }

    /// Reads a regular file to its end, whatever its size.
    ///
    /// - Returns: the bytes that were read, their digest, and the first 64 KiB of them.
    func digest(_ relative: Pathname) throws -> (size: UInt64, digest: Digest, head: [UInt8]) {
        var hash = try SHA256()
        var head: [UInt8] = []
        let size = unsafe try read(relative) { bytes in
            unsafe hash.update(bytes)
            let room = (64 << 10) - head.count
            if room > 0 { unsafe head.append(contentsOf: bytes.prefix(room)) }
        }
        return (size, hash.finish(), head)
    }

    /// The first bytes of a regular file, at most `count`.
    func head(_ relative: Pathname, count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        unsafe try read(relative, atMost: count) { unsafe bytes.append(contentsOf: $0) }
        return bytes
    }

    @discardableResult
    private func read(
        _ relative: Pathname,
        atMost limit: Int = .max,
        _ take: (UnsafeRawBufferPointer) -> Void
    ) throws -> UInt64 {
        let path = path(relative)
        // O_NONBLOCK: a pipe that took the file's place must not hang us.
        let descriptor = unsafe path.withCString { unsafe open($0, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) }
        guard descriptor >= 0 else {
            throw FlashlayerError.system("read \(path)", .current, code: .badLayer)
        }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw FlashlayerError(.badLayer, "\(path) is not a regular file")
        }
        var buffer = [UInt8](repeating: 0, count: min(limit, 256 << 10))
        var total = 0
        while total < limit {
            let want = min(buffer.count, limit - total)
            // SAFETY: read(2) writes at most `want` bytes into a buffer that is at least as long.
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, want) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                throw FlashlayerError.system("read \(path)", .current, code: .badLayer)
            }
            if count == 0 { break }
            unsafe buffer.withUnsafeBytes { unsafe take(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            total += count
        }
        return UInt64(total)
    }
}
