// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
package import Layers
import Model
import Programs

/// Where results of phases, downloads and unfinished work are kept.
///
///     base/KEY/      a base: its disk, what is known of it, what its package manager knows
///     finished/KEY/  what a build made of a base: the disk's difference, the list of its packages
///     debs/          packages that were downloaded
///     work/NAME/     what a build that runs is making; nothing there is ever trusted by another
package struct Cache: Sendable {
    package let path: String

    /// `$FLASHLAYER_CACHE`, else /var/cache/flashlayer as root, else below the user's own cache folder.
    package init() throws {
        let environment = ProcessInfo.processInfo.environment
        if let named = environment["FLASHLAYER_CACHE"], !named.isEmpty {
            self.init(path: named.hasPrefix("/") ? named : FileManager.default.currentDirectoryPath + "/" + named)
        } else if getuid() == 0 {
            self.init(path: "/var/cache/flashlayer")
        } else if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") {
            self.init(path: folder + "/flashlayer")
        } else if let home = environment["HOME"], home.hasPrefix("/") {
            self.init(path: home + "/.cache/flashlayer")
        } else {
            throw FlashlayerError(
                .cannotCreate,
                "there is no place for the cache: neither FLASHLAYER_CACHE nor HOME is set",
                advice: "set FLASHLAYER_CACHE to a folder"
            )
        }
    }

    package init(path: String) {
        self.path = path
    }

    /// Makes its folders.
    func prepare() throws {
        for folder in ["base", "debs", "finished", "work"] {
            try Self.makeFolder("\(path)/\(folder)")
        }
    }

    /// Whether a build would find the result of this phase, and why, for a person. What is behind the base depends on the
    /// versions of packages, which only a build asks for.
    package func state(of phase: PlannedPhase) -> (isCached: Bool, reason: String) {
        guard phase.phase == .base else { return (false, "a build asks for the versions of packages first") }
        return BaseEntry(at: base(phase.key)) != nil
            ? (true, "made by an earlier build") : (false, "no build of this base is in \(path)")
    }

    static func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw FlashlayerError(
                .cannotCreate,
                "cannot make the folder \(path): \(Errno.current)",
                advice: "name another cache: FLASHLAYER_CACHE=/some/folder"
            )
        }
    }

    var debs: String { "\(path)/debs" }

    func base(_ key: Digest) -> String { "\(path)/base/\(key.hex)" }

    func finished(_ key: Digest) -> String { "\(path)/finished/\(key.hex)" }

    /// Free bytes of the file system that holds the cache.
    static func freeSpace(at path: String) -> UInt64? {
        var numbers = statvfs()
        guard unsafe statvfs(path, &numbers) == 0 else { return nil }
        return UInt64(numbers.f_bavail) * UInt64(numbers.f_frsize)
    }
}

/// A folder for unfinished work, held by a lock as long as its process lives.
///
/// What a killed build left is found by its lock being free, and removed when the next build starts.
final class WorkFolder: Sendable {
    let path: String
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    static func make(in cache: Cache) async throws -> WorkFolder {
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

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Removes the folder and all below it, but nothing that is mounted there.
    func remove() async {
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
    static func remove(_ path: String) async {
        _ = await Task.detached {
            try await Program("rm", debianPackage: "coreutils").run(["-rf", "--one-file-system", "--", path])
        }.result
    }
}
