// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution

/// The state of a disk behind a part of a build, in the cache: what differs from the disk that it was built upon. When all
/// that led to it is the same again, a build goes on from here.
struct Checkpoint: Sendable {
    /// What it is of, to say later why another build cannot use it.
    struct Origin: Codable, Sendable {
        let project: String
        let variant: String?
        let phase: Phase
        let layer: String?
        let ingredients: [Ingredient]
        /// The entry of the cache that holds the disk which this one refers to.
        let parent: String
    }

    let path: String
    let origin: Origin
    private let use: EntryUse

    var disk: String { "\(path)/disk.qcow2" }
    /// Of the last phase only; see `FinishSteps.packageList`.
    var packageList: String { "\(path)/installed" }
    /// Where the image was written from this one, and what became of it there.
    var outputs: String { "\(path)/outputs.json" }

    /// - Returns: nil when the cache has no such entry.
    init?(at path: String) {
        guard let use = EntryUse(of: path), Self.exists(at: path), let origin = Self.origin(at: path) else {
            return nil
        }
        self.path = path
        self.origin = origin
        self.use = use
    }

    /// A disk is worth nothing with another base than its own.
    static func path(of key: Digest, base: BaseEntry, in cache: Cache) throws -> String {
        cache.checkpoint(try SHA256.digest(of: key.bytes + Array(base.stamp.utf8)))
    }

    /// Whether all of an entry is there.
    static func exists(at path: String) -> Bool {
        guard let origin = origin(at: path) else { return false }
        let files = origin.phase == .finish ? ["disk.qcow2", "installed"] : ["disk.qcow2"]
        return files.allSatisfy { FileManager.default.fileExists(atPath: "\(path)/\($0)") }
    }

    private static func origin(at path: String) -> Origin? {
        FileManager.default.contents(atPath: "\(path)/origin.json").flatMap {
            try? JSONDecoder().decode(Origin.self, from: $0)
        }
    }

    /// The newest one that an earlier build of the same project left at the same point.
    static func latest(like origin: (project: String, variant: String?, phase: Phase, layer: String?), in cache: Cache)
        -> Origin?
    {
        var newest: (time: Int, origin: Origin)?
        for path in cache.entries(of: .checkpoints) {
            var status = stat()
            guard unsafe stat("\(path)/origin.json", &status) == 0, status.st_mtim.tv_sec >= newest?.time ?? 0,
                let found = Self.origin(at: path), found.project == origin.project, found.variant == origin.variant,
                found.phase == origin.phase, found.layer == origin.layer
            else { continue }
            newest = (status.st_mtim.tv_sec, found)
        }
        return newest?.origin
    }

    /// Puts a folder with a disk into the cache; only a disk that QEMU itself finds sound is kept, and it gets its name
    /// when everything of it is on stable storage.
    ///
    /// - Parameter folder: holds `disk.qcow2`; gone afterwards, if it was kept.
    /// - Returns: false when what is there already is in use, and stays.
    @discardableResult
    static func keep(_ folder: String, _ origin: Origin, at path: String) async throws -> Bool {
        try await QEMU.image().run(["check", "-q", "\(folder)/disk.qcow2"])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try HostFile.write(try encoder.encode(origin), to: "\(folder)/origin.json")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        for file in names.map({ "\(folder)/\($0)" }) + [folder] { try HostFile.flush(file) }
        // A refreshed build, or another one that did the same at the same time and still uses its own.
        guard await EntryUse.remove(path) else { return false }
        guard unsafe rename(folder, path) == 0 else {
            throw FlashlayerError.system("keep a checkpoint in \(path)", .current, code: .cannotCreate)
        }
        return true
    }
}
