// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
package import Layers
import Model
import Programs

/// The Debian packages of a build: what their names stand for, and later the drive that brings them to the guest.
package struct PackageFetch: Sendable {
    /// What decides which packages are chosen.
    package struct Request: Sendable {
        package var plan: Plan
        /// As the layers write them, and what the build needs besides.
        package var names: [String]
        package var guest: GuestFacts
        /// A tar archive of what the guest's package manager knows.
        package var state: String
        /// Names what is installed in the guest already, on any machine.
        package var baseIdentity: String

        package init(plan: Plan, names: [String], guest: GuestFacts, state: String, baseIdentity: String) {
            self.plan = plan
            self.names = names
            self.guest = guest
            self.state = state
            self.baseIdentity = baseIdentity
        }

        /// What a selection answers.
        package var ingredients: [Ingredient] {
            get throws {
                var ingredients = [Ingredient("the base", baseIdentity)]
                ingredients += names.map { Ingredient("package \($0)", "deb") }
                if let recommends = plan.recommends {
                    ingredients.append(Ingredient("packages.recommends", "\(recommends)"))
                }
                return try ingredients + plan.earlyIngredients
            }
        }
    }

    package let selection: BuildLock.Selection
    private let request: Request
    private let isOffline: Bool
    private let cache: Cache
    private let work: WorkFolder
    private let tell: BuildObserver

    /// - Parameter locked: of an earlier build; nil: nothing is locked.
    /// - Throws: `packages-failed`, `lock-drift`, `unavailable`.
    package static func resolve(
        _ request: Request,
        locked: BuildLock.Selection?,
        lockUse: LockUse,
        isOffline: Bool,
        cache: Cache,
        work: WorkFolder,
        tell: @escaping BuildObserver
    ) async throws -> PackageFetch {
        let wanted = try request.ingredients
        let drift = locked.map { $0.drift(from: wanted) } ?? "nothing is locked yet"
        if let locked, drift == nil, lockUse != .renew {
            return PackageFetch(locked, request, isOffline, cache, work, tell)
        }
        guard lockUse != .require else {
            throw LockFile.packagesDrift(drift ?? "")
        }
        guard !isOffline else {
            throw FlashlayerError(
                .unavailable,
                "the packages have to be chosen anew (\(drift ?? "")), and --offline forbids to ask their sources",
                advice: "build once without --offline"
            )
        }
        let root = try await AptRoot(
            in: work,
            state: request.state,
            architecture: request.guest.architecture,
            early: request.plan.earlyFiles,
            tell: tell
        )
        if let locked, lockUse == .obey {
            let archive = DebianArchive(cache: cache)
            let gone = Set(try await archive.missing(of: locked.packages).map(\.file))
            let atHand = locked.packages.filter { !gone.contains($0.file) }
            let repository = work.file("locked")
            if !atHand.isEmpty { try await archive.makeRepository(of: atHand, at: repository) }
            try root.prefer(locked.packages, from: atHand.isEmpty ? nil : repository)
        }
        try await root.update()
        let packages = try await root.resolve(request.names, recommends: request.plan.recommends) { name in
            let layers = request.plan.layers.filter { $0.debianPackages.contains { $0.hasPackageName(name) } }
            return layers.isEmpty
                ? "needed by the recipe" : "asked for by \(layers.map(\.name).joined(separator: ", "))"
        }
        let selection = BuildLock.Selection(request: wanted, packages: packages)
        let archive = DebianArchive(cache: cache)
        let missing = try await archive.missing(of: selection.packages)
        try await Self.download(missing, by: root, into: archive, work)
        return PackageFetch(selection, request, isOffline, cache, work, tell)
    }

    /// Names of what is installed in the guest and would be upgraded by its sources.
    ///
    /// - Throws: `packages-failed`.
    package static func upgrades(_ request: Request, work: WorkFolder, tell: @escaping BuildObserver) async throws
        -> [String]
    {
        let root = try await AptRoot(
            in: work,
            state: request.state,
            architecture: request.guest.architecture,
            early: [],
            tell: tell
        )
        try await root.update()
        let upgrades = try await root.upgrades()
        await WorkFolder.remove(work.file("apt"))
        return upgrades
    }

    private init(
        _ selection: BuildLock.Selection,
        _ request: Request,
        _ isOffline: Bool,
        _ cache: Cache,
        _ work: WorkFolder,
        _ tell: @escaping BuildObserver
    ) {
        self.selection = selection
        self.request = request
        self.isOffline = isOffline
        self.cache = cache
        self.work = work
        self.tell = tell
    }

    /// The versions that were found.
    package var ingredients: [Ingredient] { selection.packages.map(\.ingredient) }

    /// Makes a disk of the packages, which the guest's apt reads as a package source.
    package func makeDrive(at path: String) async throws {
        let archive = DebianArchive(cache: cache)
        let missing = try await archive.missing(of: selection.packages)
        if !missing.isEmpty {
            guard !isOffline else {
                throw FlashlayerError(
                    .unavailable,
                    "\(missing.count) packages are not in the cache, \(missing[0].file) among them, and --offline keeps "
                        + "them from being fetched",
                    advice: "build once without --offline"
                )
            }
            let root = try await AptRoot(
                in: work,
                state: request.state,
                architecture: request.guest.architecture,
                early: request.plan.earlyFiles,
                tell: tell
            )
            try await root.update()
            try await Self.download(missing, by: root, into: archive, work)
        }
        let folder = work.file("repository")
        try await archive.makeRepository(of: selection.packages, at: folder)
        let used = try await Program("du", debianPackage: "coreutils").run(["-sLx", "--block-size=1M", folder])
        let mebibytes = used.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } ?? 0
        try await Program("mke2fs", debianPackage: "e2fsprogs").run([
            "-q", "-F", "-t", "ext2", "-b", "4096", "-m", "0", "-d", folder, path, "\(mebibytes + mebibytes / 8 + 16)M",
        ])
    }

    private static func download(
        _ packages: [LockedPackage],
        by root: AptRoot,
        into archive: DebianArchive,
        _ work: WorkFolder
    ) async throws {
        let folder = work.file("download")
        try Cache.makeFolder(folder)
        try await root.download(packages, to: folder)
        try await archive.take(packages, from: folder)
    }
}

extension String {
    /// Whether an entry of a list (`curl`, `curl=7.88*`, `curl/bookworm-backports`, `-curl`) is about this package.
    fileprivate func hasPackageName(_ name: String) -> Bool {
        let entry = hasPrefix("-") ? dropFirst() : self[...]
        return entry.prefix { $0 != "=" && $0 != "/" && $0 != ":" } == name
    }
}
