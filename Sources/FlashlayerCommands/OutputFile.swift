// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Resolution

/// A file that a command is asked to leave: looked at before the work starts, put in place whole at its end.
struct OutputFile: Sendable {
    let path: String

    /// - Parameter replaces: a file that is there may be replaced.
    /// - Throws: `cannot-create`, `not-found` as `cannot-create`, `not-permitted`.
    init(_ path: String, replaces: Bool) throws {
        self.path = path
        var status = stat()
        if unsafe lstat(path, &status) == 0 {
            // A slip of the finger may name a disk.
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw FlashlayerError(.cannotCreate, "cannot write \(path): it is there and no file")
            }
            guard replaces else {
                throw FlashlayerError(.cannotCreate, "\(path) is there already", advice: "add --force to replace it")
            }
        }
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        guard unsafe access(folder, W_OK | X_OK) == 0 else {
            throw FlashlayerError.system("write \(path)", .current, code: .cannotCreate)
        }
    }

    /// Whether it is one of these files, under whatever name.
    func isOne(of files: [String]) -> Bool {
        var own = stat()
        guard unsafe stat(path, &own) == 0 else { return false }
        return files.contains { file in
            var other = stat()
            return unsafe stat(file, &other) == 0 && other.st_dev == own.st_dev && other.st_ino == own.st_ino
        }
    }

    /// - Throws: `cannot-create`, `no-space`, `not-permitted`; what was there before is then there still.
    func put(_ text: String) throws {
        try HostFile.replace(path, with: text)
    }
}
