// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model

/// Copies an image file while QEMU has it open and nothing writes to it. Only what is allocated is copied: a qcow2 file
/// has holes where clusters were given back.
enum DiskCopy {
    /// - Throws: `no-space`, `cannot-create`.
    static func copy(_ source: String, to path: String) throws {
        let input = unsafe open(source, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw FlashlayerError.system("read \(source)", .current, code: .buildFailed) }
        defer { close(input) }
        let output = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard output >= 0 else { throw failure(path) }
        defer { close(output) }
        let size = lseek(input, 0, SEEK_END)
        guard size >= 0, ftruncate(output, size) == 0 else { throw failure(path) }
        var position: off_t = 0
        while position < size {
            let start = lseek(input, position, flashlayer_seek_data)
            // ENXIO: nothing but a hole is left. See lseek(2).
            guard start >= 0 else {
                if errno == ENXIO { return }
                throw failure(path)
            }
            var end = lseek(input, start, flashlayer_seek_hole)
            if end < 0 { end = size }
            try copy(from: input, to: output, start..<end, path)
            position = end
        }
    }

    private static func copy(from input: Int32, to output: Int32, _ range: Range<off_t>, _ path: String) throws {
        var from = range.lowerBound
        var to = range.lowerBound
        while from < range.upperBound {
            // Shares blocks where the file system can, and copies in the kernel elsewhere; see copy_file_range(2).
            let count = unsafe flashlayer_copy_file_range(input, &from, output, &to, Int(range.upperBound - from))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw failure(path) }
            // The file ends early.
            if count == 0 { return }
        }
    }

    private static func failure(_ path: String) -> FlashlayerError {
        .system("keep a checkpoint in \(path)", .current, code: .cannotCreate)
    }
}
