// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Digests
import Glibc
package import Layers
import Model
import Threads

/// The files of all layers as one archive.
package enum OverlayArchive {
    /// - Throws: `bad-layer` when a file is not what it was when the layers were read.
    package static func write(_ entries: [OverlayEntry], to path: String) async throws {
        try await onOwnThread(named: "overlay") { try writeNow(entries, to: path) }
    }

    private static func writeNow(_ entries: [OverlayEntry], to path: String) throws {
        var archive = try TarWriter(path: path)
        for entry in entries { try add(entry, to: &archive) }
        try archive.finish()
    }

    private static func add(_ entry: OverlayEntry, to archive: inout TarWriter) throws {
        var status = stat()
        // SAFETY: lstat(2) fills the structure it is given.
        guard unsafe entry.source.withCString({ unsafe lstat($0, &status) }) == 0 else { throw changed(entry) }
        var member = TarMember(
            name: entry.path,
            kind: .directory,
            mode: entry.mode,
            // Names of users are for the guest's tar to look up.
            user: UInt32(entry.user) ?? 0,
            group: UInt32(entry.group) ?? 0,
            userName: UInt32(entry.user) == nil ? entry.user : "",
            groupName: UInt32(entry.group) == nil ? entry.group : "",
            // A checkout gives files the time at which it was made, and no key knows of that.
            modified: min(status.st_mtim.tv_sec, SourceDate.seconds),
            attributes: entry.attributes
        )
        switch (entry.kind, entry.hardLink) {
        case (.directory, _):
            try archive.add(member)
        case (.symlink(let target), _):
            member.kind = .symlink(target: target)
            try archive.add(member)
        case (.file, let target?):
            member.kind = .hardLink(to: target)
            // The file has them already.
            member.attributes = []
            try archive.add(member)
        case (.file(let size, let digest), nil):
            try add(entry, member, size: size, digest: digest, to: &archive)
        }
    }

    private static func add(
        _ entry: OverlayEntry,
        _ member: TarMember,
        size: UInt64,
        digest: Digest,
        to archive: inout TarWriter
    ) throws {
        let descriptor = unsafe entry.source.withCString { unsafe open($0, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) }
        guard descriptor >= 0 else {
            throw FlashlayerError.system("read \(entry.source)", .current, code: .badLayer)
        }
        defer { close(descriptor) }
        let extents = dataExtents(descriptor, size: size)
        let stored = extents.reduce(0) { $0 + $1.length }
        var member = member
        member.kind = stored < size ? .sparse(size: size, extents: extents) : .file(size: size)
        try archive.add(member)
        var content = Content(descriptor: descriptor, hash: try SHA256())
        for extent in extents {
            content.skipHole(to: extent.offset)
            try content.copy(extent.length, entry, into: &archive)
        }
        content.skipHole(to: size)
        guard content.hash.finish() == digest else { throw changed(entry) }
        try archive.pad(stored)
    }

    /// Where a file has data; see SEEK_DATA in lseek(2). A file system that knows no holes says: everywhere.
    private static func dataExtents(_ descriptor: Int32, size: UInt64) -> [Extent] {
        var extents: [Extent] = []
        var offset: UInt64 = 0
        while offset < size {
            let start = lseek(descriptor, off_t(offset), flashlayer_seek_data)
            if start < 0 {
                // ENXIO: nothing but a hole follows.
                guard errno != ENXIO else { break }
                return [Extent(offset: 0, length: size, kind: .data)]
            }
            guard UInt64(start) < size else { break }
            let end = lseek(descriptor, start, flashlayer_seek_hole)
            let last = end < 0 ? size : min(UInt64(end), size)
            guard last > UInt64(start) else { break }
            extents.append(Extent(offset: UInt64(start), length: last - UInt64(start), kind: .data))
            offset = last
        }
        return extents
    }

    /// A file on its way into the archive. All of it is hashed, its holes as the zeros that they read as.
    private struct Content: ~Copyable {
        static let piece: UInt64 = 1 << 18

        let descriptor: Int32
        var hash: SHA256
        var offset: UInt64 = 0
        var buffer = [UInt8](repeating: 0, count: Int(piece))

        init(descriptor: Int32, hash: consuming SHA256) {
            self.descriptor = descriptor
            self.hash = hash
        }

        mutating func skipHole(to end: UInt64) {
            guard offset < end else { return }
            let zeros = [UInt8](repeating: 0, count: Int(min(Self.piece, end - offset)))
            while offset < end {
                let count = min(UInt64(zeros.count), end - offset)
                unsafe zeros.withUnsafeBytes { unsafe hash.update(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)])) }
                offset += count
            }
        }

        mutating func copy(_ length: UInt64, _ entry: OverlayEntry, into archive: inout TarWriter) throws {
            let end = offset + length
            while offset < end {
                let wanted = Int(min(end - offset, Self.piece))
                let count = unsafe buffer.withUnsafeMutableBytes {
                    // SAFETY: pread(2) writes at most `wanted` bytes, and the buffer has as many.
                    unsafe pread(descriptor, $0.baseAddress, wanted, off_t(offset))
                }
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { throw changed(entry) }
                unsafe buffer.withUnsafeBytes { unsafe hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                try archive.write(buffer[..<count])
                offset += UInt64(count)
            }
        }
    }

    private static func changed(_ entry: OverlayEntry) -> FlashlayerError {
        FlashlayerError(
            .badLayer,
            "\(entry.source) was changed while the image was built",
            advice: "leave the layers alone meanwhile, and build again"
        )
    }
}
