// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// What a file of this machine is at a moment: another one when anything was written to it, or another file has its name.
package struct FileIdentity: Codable, Sendable, Equatable {
    /// Device, inode, size, and the times of the last changes of content and inode; the last one cannot be set back.
    private let numbers: [Int64]

    /// - Throws: `not-found`.
    package init(of path: String) throws {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            throw FlashlayerError.system("read \(path)", .current, code: .notFound)
        }
        numbers = [
            Int64(status.st_dev), Int64(bitPattern: UInt64(status.st_ino)), Int64(status.st_size),
            Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec), Int64(status.st_ctim.tv_sec),
            Int64(status.st_ctim.tv_nsec),
        ]
    }
}
