// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
package import Resolution

/// What lies in the cache, and what may go.
package struct CachePruning: Sendable {
    package struct Entry: Sendable, Equatable {
        package let path: String
        /// `base`, `checkpoints`, ...: the folder of the cache.
        package let kind: Cache.Kind
        /// For a person: "kiosk, scripts of layer kiosk".
        package let description: String
        /// Bytes on the disk of this machine.
        package let size: UInt64
        /// Seconds since it was last of use.
        package let age: Int
        /// The base that a checkpoint refers to.
        package let parent: String?
    }

    private let cache: Cache

    package init(cache: Cache) {
        self.cache = cache
    }

    /// Newest first within each kind.
    package func entries() -> [Entry] {
        Cache.Kind.allCases.flatMap { kind in
            cache.entries(of: kind).map { entry($0, kind) }.sorted { ($0.age, $0.path) < ($1.age, $1.path) }
        }
    }

    private func entry(_ path: String, _ kind: Cache.Kind) -> Entry {
        var status = stat()
        let time = unsafe stat(path, &status) == 0 ? status.st_mtim.tv_sec : 0
        var description = path.split(separator: "/").last.map(String.init) ?? path
        var parent: String?
        switch kind {
        case .base:
            if let base = BaseEntry(at: path) { description = base.facts.product }
        case .checkpoints:
            if let origin = Checkpoint(at: path)?.origin {
                parent = origin.parent
                let project = origin.variant.map { "\(origin.project) (\($0))" } ?? origin.project
                description = "\(project), \(origin.phase.rawValue)" + (origin.layer.map { " of \($0)" } ?? "")
            }
        default:
            break
        }
        return Entry(
            path: path,
            kind: kind,
            description: description,
            size: Self.size(of: path),
            age: max(0, Glibc.time(nil) - time),
            parent: parent
        )
    }

    /// Removes what was of no use for longest, until no more than this is left. What a running build uses stays, and so
    /// does a base as long as a checkpoint refers to it.
    ///
    /// - Parameter limit: bytes.
    /// - Returns: what was removed.
    package func prune(keeping limit: UInt64, kinds: Set<Cache.Kind> = Set(Cache.Kind.allCases)) async -> [Entry] {
        var left = entries().filter { kinds.contains($0.kind) }
        var total = left.reduce(0) { $0 + $1.size }
        var removed: [Entry] = []
        // Checkpoints before the bases that they refer to: the age of a base is that of its making.
        let bases = left.filter { $0.kind == .base }
        let others = left.filter { $0.kind != .base }
        for entry in others.sorted(by: { $0.age > $1.age }) + bases.sorted(by: { $0.age > $1.age }) {
            guard total > limit else { break }
            if entry.kind == .base, left.contains(where: { $0.parent == entry.path }) { continue }
            guard await remove(entry) else { continue }
            total -= min(total, entry.size)
            left.removeAll { $0 == entry }
            removed.append(entry)
        }
        if limit == 0 {
            // What is only worth something together with what has just gone.
            for folder in ["digests", "locks"] { await WorkFolder.remove("\(cache.path)/\(folder)") }
        }
        return removed
    }

    private func remove(_ entry: Entry) async -> Bool {
        await EntryUse.remove(entry.path)
    }

    /// Each change of a layer leaves other checkpoints: after a build, the oldest go when they take more than this.
    private static let automaticLimit = 16 * ByteSize.gibibyte

    func pruneAutomatically() async {
        _ = await prune(keeping: Self.automaticLimit, kinds: [.checkpoints])
    }

    private static func size(of path: String) -> UInt64 {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return 0 }
        let own = UInt64(status.st_blocks) * 512
        guard status.st_mode & S_IFMT == S_IFDIR else { return own }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.reduce(own) { $0 + size(of: "\(path)/\($1)") }
    }
}
