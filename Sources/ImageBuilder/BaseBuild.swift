// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution

/// The base phase: finds the base in the cache, or makes it and puts it there.
struct BaseBuild: Sendable {
    let plan: Plan
    /// Of the base phase.
    let key: Digest
    let cache: Cache
    let work: WorkFolder
    let accelerator: Accelerator
    let log: BuildLog

    /// - Parameter refresh: makes it again even if it is there.
    func entry(refresh: Bool) async throws -> BaseEntry {
        let path = cache.base(key)
        let lock = try await KeyLock.hold(path + ".lock") {
            log.tell(.note("another flashlayer makes the same base: waiting for it"))
        }
        defer { withExtendedLifetime(lock) {} }
        if !refresh, let entry = BaseEntry(at: path) {
            log.tell(.cached(.base))
            return entry
        }
        let start = ContinuousClock.now
        log.tell(.started(.base))
        let made = work.file("base")
        try Cache.makeFolder(made)
        switch plan.base {
        case .bootstrap(let distribution, let suite, let mirror):
            guard distribution == "debian" else {
                throw FlashlayerError(
                    .badRecipe,
                    "[base] bootstrap: this version bootstraps \"debian\", not \"\(distribution)\"",
                    advice: "start from a disk image of it: image = \"...\" under [base]"
                )
            }
            try await Bootstrap(
                plan: plan,
                suite: suite,
                mirror: mirror,
                key: key,
                work: work,
                accelerator: accelerator,
                log: log
            ).make(into: made)
        case .image(let image, let sha256):
            try await BaseImage(
                image: image,
                sha256: sha256,
                size: plan.image.size,
                cache: cache,
                work: work,
                accelerator: accelerator,
                log: log
            ).make(into: made)
        }
        let entry = try await keep(made, as: path)
        log.tell(.finished(.base, seconds: (ContinuousClock.now - start) / .seconds(1)))
        return entry
    }

    /// Only a disk that QEMU itself finds sound is kept; it gets its name when everything of it is on stable storage.
    private func keep(_ made: String, as path: String) async throws -> BaseEntry {
        try await QEMU.image().run(["check", "-q", "\(made)/disk.qcow2"])
        try syncTree(made)
        try await EntryUse.removeWhenFree(path) {
            log.tell(.note("the base that is to be replaced is in use: waiting for the builds that use it"))
        }
        guard unsafe rename(made, path) == 0 else {
            throw FlashlayerError.system("put the base into \(path)", .current, code: .cannotCreate)
        }
        guard let entry = BaseEntry(at: path) else {
            throw FlashlayerError(.fault, "the base that was just made is not in \(path)")
        }
        return entry
    }

    private func syncTree(_ folder: String) throws {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for path in names.map({ "\(folder)/\($0)" }) + [folder] { try HostFile.flush(path) }
    }
}
