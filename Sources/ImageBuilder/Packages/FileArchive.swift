// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model

/// Plain files of this machine as one tar archive, which is the same whenever and by whomever it is made.
package enum FileArchive {
    /// Blocks.
    ///
    /// - Parameter files: in this order; names are relative, without a slash at either end. Modes are those of the files.
    /// - Throws: `not-found`, `cannot-create`, `no-space`.
    package static func write(_ files: [(path: String, name: String, size: UInt64)], to path: String) throws {
        var archive = try TarWriter(path: path)
        for file in files {
            let descriptor = unsafe open(file.path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else {
                throw FlashlayerError.system("read \(file.path)", .current, code: .notFound)
            }
            defer { close(descriptor) }
            var status = stat()
            guard unsafe fstat(descriptor, &status) == 0 else {
                throw FlashlayerError.system("read \(file.path)", .current, code: .notFound)
            }
            try archive.add(
                TarMember(
                    name: Pathname(file.name),
                    kind: .file(size: file.size),
                    mode: UInt16(status.st_mode & 0o7777),
                    modified: SourceDate.seconds
                )
            )
            var left = Int(file.size)
            var buffer = [UInt8](repeating: 0, count: 1 << 18)
            while left > 0 {
                let wanted = min(left, buffer.count)
                // SAFETY: read(2) writes at most `wanted` bytes, and the buffer has as many.
                let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, wanted) }
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else {
                    throw FlashlayerError(.fault, "\(file.path) became shorter while it was put into an archive")
                }
                try archive.write(buffer[..<count])
                left -= count
            }
            try archive.pad(file.size)
        }
        try archive.finish()
    }
}
