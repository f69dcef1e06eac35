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
    let project: ResolvedProject
    let cache: Cache
    let work: WorkFolder
    let log: BuildLog

    private var plan: Plan { project.plan }

    /// - Parameter refresh: makes it again even if it is there.
    func entry(refresh: Bool) async throws -> BaseEntry {
        let phase = try Self.phase(of: plan)
        let lock = try await KeyLock.hold(cache.base(phase.key) + ".lock") {
            log.tell(.note("another flashlayer makes the same base: waiting for it"))
        }
        defer { withExtendedLifetime(lock) {} }
        let locked = lockedPackages(phase)
        if !refresh, let entry = try Self.kept(phase, locked, cache) {
            log.tell(.cached(.base))
            return entry
        }
        if project.lockUse == .require, locked == nil, plan.isBootstrap {
            throw FlashlayerError(
                .lockDrift,
                "\(LockFile.fileName) has no packages for this base",
                advice: "build without --locked, or run flashlayer update"
            )
        }
        guard !project.isOffline || !plan.isBootstrap else {
            throw FlashlayerError(
                .unavailable,
                "the base is not in the cache, and --offline forbids to fetch its packages",
                advice: "build once without --offline"
            )
        }
        let start = ContinuousClock.now
        log.tell(.due(.base, reason: refresh ? "refreshed" : PhaseState.whyNoBase(phase, cache)))
        log.tell(.started(.base))
        let made = work.file("base")
        try Cache.makeFolder(made)
        let packages = try await make(into: made, phase, locked)
        let entry = try await keep(made, as: try place(phase, packages, refresh: refresh))
        log.tell(.finished(.base, seconds: (ContinuousClock.now - start) / .seconds(1)))
        return entry
    }

    static func phase(of plan: Plan) throws -> PlannedPhase {
        guard let phase = try plan.phases().first(where: { $0.phase == .base }) else {
            throw FlashlayerError(.fault, "the plan has no base")
        }
        return phase
    }

    /// What the lock says that a bootstrap is made of; nil where it says nothing of this one.
    private func lockedPackages(_ phase: PlannedPhase) -> [LockedPackage]? {
        guard project.lockUse != .renew else { return nil }
        return Self.lockedPackages(project.lock, phase)
    }

    private static func lockedPackages(_ lock: LockFile?, _ phase: PlannedPhase) -> [LockedPackage]? {
        guard let selection = lock?.build.bootstrap, let ingredients = phase.checkpoints.first?.ingredients,
            selection.drift(from: ingredients) == nil
        else { return nil }
        return selection.packages
    }

    /// The base that a build would start from, if the cache has it.
    static func kept(for project: ResolvedProject, in cache: Cache) throws -> BaseEntry? {
        let phase = try phase(of: project.plan)
        return try kept(phase, project.lockUse == .renew ? nil : lockedPackages(project.lock, phase), cache)
    }

    /// One made of the locked packages; whichever is there when none are locked.
    private static func kept(_ phase: PlannedPhase, _ locked: [LockedPackage]?, _ cache: Cache) throws -> BaseEntry? {
        let path = cache.base(phase.key)
        guard let locked else { return BaseEntry(at: path) }
        let identity = try BaseEntry.identity(of: locked)
        for path in [path, "\(path)-\(identity.prefix(16))"] {
            if let entry = BaseEntry(at: path), entry.packagesIdentity == identity { return entry }
        }
        return nil
    }

    /// Another base of the same recipe, with other versions, may have the plain name; it stays unless it is refreshed.
    private func place(_ phase: PlannedPhase, _ packages: [LockedPackage]?, refresh: Bool) throws -> String {
        let path = cache.base(phase.key)
        guard !refresh, project.lockUse != .renew, let packages, BaseEntry(at: path) != nil else { return path }
        return "\(path)-\(try BaseEntry.identity(of: packages).prefix(16))"
    }

    /// - Returns: the packages of a bootstrap.
    private func make(into made: String, _ phase: PlannedPhase, _ locked: [LockedPackage]?) async throws
        -> [LockedPackage]?
    {
        try await HostCheck.appliance()
        let accelerator = try await HostAccelerator.find()
        if let note = accelerator.note { log.tell(.note(note)) }
        let ingredients = phase.checkpoints.first?.ingredients ?? []
        switch plan.base {
        case .bootstrap(let distribution, let suite, let mirror):
            guard distribution == "debian" else {
                throw FlashlayerError(
                    .badRecipe,
                    "[base] bootstrap: this version bootstraps \"debian\", not \"\(distribution)\"",
                    advice: "start from a disk image of it: image = \"...\" under [base]"
                )
            }
            let bootstrap = Bootstrap(
                plan: plan,
                suite: suite,
                mirror: mirror,
                key: phase.key,
                locked: locked ?? [],
                work: work,
                accelerator: accelerator.accelerator,
                log: log
            )
            let (facts, packages) = try await bootstrap.make(into: made)
            if let locked { try compare(packages, with: locked) }
            try BaseEntry.write(facts, packages: packages, ingredients: ingredients, to: made)
            return packages
        case .image(let image, let sha256):
            let base = BaseImage(
                image: image,
                sha256: sha256,
                size: plan.image.size,
                cache: cache,
                work: work,
                accelerator: accelerator.accelerator,
                log: log
            )
            let facts = try await base.make(into: made)
            try BaseEntry.write(facts, packages: nil, ingredients: ingredients, to: made)
            return nil
        }
    }

    /// A mirror keeps old versions for a while only.
    private func compare(_ packages: [LockedPackage], with locked: [LockedPackage]) throws {
        let old = Dictionary(locked.map { ($0.name, $0.version) }, uniquingKeysWith: { first, _ in first })
        let moved = packages.filter { old[$0.name] != $0.version }
        let gone = Set(locked.map(\.name)).subtracting(packages.map(\.name)).sorted()
        guard !moved.isEmpty || !gone.isEmpty else { return }
        let shown =
            moved.prefix(3).map { "\($0.name) \($0.version) (locked: \(old[$0.name] ?? "none"))" } + gone.prefix(1)
        let text =
            "the base could not be made as it is locked: the mirror has \(shown.joined(separator: ", "))"
            + (moved.count + gone.count > 3 ? ", ..." : "")
        guard project.lockUse != .require else {
            throw FlashlayerError(.lockDrift, text, advice: "build without --locked, or run flashlayer update")
        }
        log.tell(.warning(text))
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
