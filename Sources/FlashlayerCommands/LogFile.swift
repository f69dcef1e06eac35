// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// The file of `--log`: a new one, or an older log, which is replaced.
struct LogFile: Sendable {
    private let descriptor: Int32

    /// - Throws: `cannot-create` also for what is there and was never a log: a slip of the finger may name a disk, or the
    ///   image.
    init(_ path: String) throws {
        // Looked at before anything is changed.
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o644)
        guard descriptor >= 0 else {
            throw FlashlayerError.system("write the log \(path)", .current, code: .cannotCreate)
        }
        var status = stat()
        _ = unsafe fstat(descriptor, &status)
        let isFile = status.st_mode & S_IFMT == S_IFREG
        let fault: String? =
            if ![S_IFREG, S_IFIFO, S_IFCHR].contains(status.st_mode & S_IFMT) {
                "is no file"
            } else if isFile, !Self.isText(path) {
                "is there and no text: it would be overwritten"
            } else {
                nil
            }
        if let fault {
            close(descriptor)
            throw FlashlayerError(
                .cannotCreate,
                "the log \(path) \(fault)",
                advice: "name another file: --log FILE"
            )
        }
        if isFile { ftruncate(descriptor, 0) }
    }

    func append(_ line: String) {
        Console.write(line + "\n", to: descriptor)
    }

    /// Disk images, archives and databases have zeros early on; texts have none.
    private static func isText(_ path: String) -> Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return errno == EACCES }
        defer { close(descriptor) }
        var start = [UInt8](repeating: 1, count: 64 << 10)
        let count = unsafe start.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        return count >= 0 && !start[..<count].contains(0)
    }
}
