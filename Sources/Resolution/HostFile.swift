// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model

/// Writes small files on this machine, whole or with an error that names them.
package enum HostFile {
    package static func write(_ text: String, to path: String, mode: UInt32 = 0o644) throws {
        try write(Array(text.utf8), to: path, mode: mode)
    }

    /// Replaces what is there.
    ///
    /// - Throws: `cannot-create`, `no-space`, `not-permitted`.
    package static func write(_ bytes: some Sequence<UInt8>, to path: String, mode: UInt32 = 0o644) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        try unsafe Array(bytes).withUnsafeBytes { bytes in
            var rest = unsafe bytes[...]
            while unsafe !rest.isEmpty {
                let part = unsafe UnsafeRawBufferPointer(rebasing: rest)
                let count = unsafe Glibc.write(descriptor, part.baseAddress, part.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { throw failure(path) }
                unsafe rest = rest.dropFirst(count)
            }
        }
    }

    /// Puts a whole new file in the place of what is there, or leaves that alone.
    ///
    /// - Throws: `cannot-create`, `no-space`, `not-permitted`.
    package static func replace(_ path: String, with text: String) throws {
        let temporary = "\(path).part-\(getpid())"
        defer { unsafe unlink(temporary) }
        try write(text, to: temporary)
        OutputOwner.adopt(temporary)
        try flush(temporary)
        guard unsafe rename(temporary, path) == 0 else { throw failure(path) }
    }

    /// Leaves a file alone that holds this already.
    package static func replaceIfOther(_ path: String, with text: String) throws {
        guard FileManager.default.contents(atPath: path) != Data(text.utf8) else { return }
        try replace(path, with: text)
    }

    /// Everything of a file or folder is on stable storage when this returns. See fsync(2).
    package static func flush(_ path: String) throws {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> FlashlayerError {
        .system("write \(path)", .current, code: .cannotCreate)
    }
}
