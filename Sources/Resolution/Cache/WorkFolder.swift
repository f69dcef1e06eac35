// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs

/// A folder for unfinished work, held by a lock as long as its process lives.
///
/// What a killed build left is found by its lock being free, and removed when the next build starts.
package final class WorkFolder: Sendable {
    package let path: String
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    package static func make(in cache: Cache) async throws -> WorkFolder {
        try cache.prepare()
        await sweep(cache)
        var template = Array("\(cache.path)/work/XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return false }
            return unsafe mkdtemp(start) != nil
        }
        guard made else {
            throw FlashlayerError.system("make a folder in \(cache.path)/work", .current, code: .cannotCreate)
        }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw FlashlayerError.system("lock \(path)", .current, code: .cannotCreate)
        }
        return WorkFolder(path: path, descriptor: descriptor)
    }

    deinit {
        close(descriptor)
    }

    package func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Removes the folder and all below it, but nothing that is mounted there.
    package func remove() async {
        await Self.remove(path)
    }

    private static func sweep(_ cache: Cache) async {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(cache.path)/work")) ?? []
        for name in names {
            let path = "\(cache.path)/work/\(name)"
            let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0, age(descriptor) > 60 { await remove(path) }
            close(descriptor)
        }
    }

    /// Seconds since the folder was last changed: one that was just made may not be locked yet.
    private static func age(_ descriptor: Int32) -> Int {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return 0 }
        return time(nil) - status.st_mtim.tv_sec
    }

    /// Removes a tree, and goes on doing so when the task is cancelled: this is how a cancelled build cleans up.
    package static func remove(_ path: String) async {
        _ = await Task.detached {
            let rm = try Program("rm", debianPackage: "coreutils")
            let arguments = ["-rf", "--one-file-system", "--", path]
            let outcome = try await rm.outcome(arguments)
            // The tree of a new system, made by an ordinary user, holds files of users that only exist in it.
            guard outcome.status != 0, UserNamespace.isNeeded else { return }
            let (program, inside) = try UserNamespace.asRoot(rm, arguments)
            try await program.run(inside)
        }.result
    }
}
