// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Glibc
import Layers
import Model
import Threads

/// The files of all layers as one archive.
enum OverlayArchive {
    /// - Throws: `bad-layer` when a file is not what it was when the layers were read.
    static func write(_ entries: [OverlayEntry], to path: String) async throws {
        try await onOwnThread(named: "overlay") { try writeNow(entries, to: path) }
    }

    private static func writeNow(_ entries: [OverlayEntry], to path: String) throws {
        var archive = try TarWriter(path: path)
        for entry in entries {
            var status = stat()
            guard unsafe lstat(entry.source, &status) == 0 else { throw changed(entry) }
            let kind: TarWriter.Kind =
                switch entry.kind {
                case .directory: .directory
                case .file(let size, _): .file(size: size)
                case .symlink(let target): .symlink(target: target)
                }
            // Names of users are the guest's to look up; see OverlaySteps.
            try archive.add(
                entry.path,
                kind,
                mode: entry.mode,
                user: UInt32(entry.user) ?? 0,
                group: UInt32(entry.group) ?? 0,
                modified: status.st_mtim.tv_sec
            )
            if case .file(let size, let digest) = entry.kind {
                try copy(entry, size: size, digest: digest, into: &archive)
                try archive.pad(size)
            }
        }
        try archive.finish()
    }

    private static func copy(
        _ entry: OverlayEntry,
        size: UInt64,
        digest: Digest,
        into archive: inout TarWriter
    ) throws {
        let descriptor = unsafe open(entry.source, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw FlashlayerError.system("read \(entry.source)", .current, code: .badLayer)
        }
        defer { close(descriptor) }
        var hash = try SHA256()
        var left = size
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while left > 0 {
            let wanted = Int(min(left, UInt64(buffer.count)))
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, wanted) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw changed(entry) }
            unsafe buffer.withUnsafeBytes { unsafe hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            try archive.write(buffer[..<count])
            left -= UInt64(count)
        }
        guard hash.finish() == digest else { throw changed(entry) }
    }

    private static func changed(_ entry: OverlayEntry) -> FlashlayerError {
        FlashlayerError(
            .badLayer,
            "\(entry.source) was changed while the image was built",
            advice: "leave the layers alone meanwhile, and build again"
        )
    }
}
