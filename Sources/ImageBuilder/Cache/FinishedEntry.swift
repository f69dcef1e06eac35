// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Model
import Programs
import Resolution

/// The disk of a build that was carried out to its end: what differs from its base, and the packages that are on it. When
/// all that goes into a build is the same again, this is its result.
struct FinishedEntry: Sendable {
    let path: String
    private let use: EntryUse

    var disk: String { "\(path)/disk.qcow2" }
    var packageList: String { "\(path)/installed" }

    /// - Returns: nil when the cache has no such entry.
    init?(at path: String) {
        guard
            let use = EntryUse(of: path),
            ["disk.qcow2", "installed"].allSatisfy({ FileManager.default.fileExists(atPath: "\(path)/\($0)") })
        else { return nil }
        self.path = path
        self.use = use
    }

    /// A disk that refers to its base is worth nothing with another: the key holds which one it was.
    static func key(finish: Digest, base: BaseEntry) throws -> Digest {
        try SHA256.digest(of: finish.bytes + Array(base.stamp.utf8))
    }

    /// Puts the results of a build into the cache.
    ///
    /// - Parameter folder: holds them, under the names above, and is gone afterwards.
    static func keep(_ folder: String, in cache: Cache, key: Digest) async throws -> FinishedEntry {
        let path = cache.finished(key)
        try await QEMU.image().run(["check", "-q", "\(folder)/disk.qcow2"])
        for file in ["disk.qcow2", "installed", ""] { try HostFile.flush("\(folder)/\(file)") }
        // A refreshed build, or another one that did the same at the same time.
        if await EntryUse.remove(path), unsafe rename(folder, path) == 0 {
            await prune(cache)
            if let entry = FinishedEntry(at: path) { return entry }
        }
        guard let entry = FinishedEntry(at: folder) else {
            throw FlashlayerError.system("put the result into \(path)", .current, code: .cannotCreate)
        }
        return entry
    }

    private static let limit = 8

    /// Each change of a layer leaves another: only the newest are worth their room.
    static func prune(_ cache: Cache) async {
        let folder = "\(cache.path)/finished"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        // The locks of builds that run lie there as well: files, and none of ours to count or to remove.
        let ages = names.compactMap { name -> (path: String, time: Int)? in
            var status = stat()
            let path = "\(folder)/\(name)"
            guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
            return (path, status.st_mtim.tv_sec)
        }
        for old in ages.sorted(by: { $0.time > $1.time }).dropFirst(limit) { await EntryUse.remove(old.path) }
    }
}
