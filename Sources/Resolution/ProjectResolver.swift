// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
package import Layers
import Model
import Threads

/// How the lock is used.
package enum LockUse: Sendable, Equatable {
    /// What is locked holds; what the recipe changed is resolved and locked.
    case obey
    /// Anything that is not locked is an error.
    case require
    /// Everything is resolved anew.
    case renew
}

/// A project, and how it is to be resolved.
package struct ProjectRequest: Sendable {
    package var project: Project
    package var layerPath: [String]
    package var variant: String?
    package var arguments: [Layer.Variable]
    package var lockUse: LockUse
    /// Nothing is fetched: what is not in the cache is an error.
    package var isOffline: Bool
    /// false: what is made of the project starts from no base, and a base image need not be there.
    package var needsBase: Bool

    package init(
        _ project: Project,
        layerPath: [String] = [],
        variant: String? = nil,
        arguments: [Layer.Variable] = [],
        lockUse: LockUse = .obey,
        isOffline: Bool = false,
        needsBase: Bool = true
    ) {
        self.needsBase = needsBase
        self.project = project
        self.layerPath = layerPath
        self.variant = variant
        self.arguments = arguments
        self.lockUse = lockUse
        self.isOffline = isOffline
    }
}

/// A project whose layers and base lie on this machine.
package struct ResolvedProject: Sendable {
    package let plan: Plan
    /// nil: nothing is pinned.
    package var lock: LockFile?
    package let lockUse: LockUse
    package let isOffline: Bool
    /// The recipe's file; nil: there is none.
    package let recipe: String?
    /// For a person, before anything is built.
    package let notes: [String]
    /// What of the cache stays where it is as long as this does.
    private let held: [EntryUse]

    /// A plan that is built as it is, with no lock.
    package init(
        _ plan: Plan,
        recipe: String? = nil,
        lock: LockFile? = nil,
        lockUse: LockUse = .obey,
        isOffline: Bool = false,
        notes: [String] = [],
        held: [EntryUse] = []
    ) {
        self.plan = plan
        self.recipe = recipe
        self.notes = notes
        self.held = held
        self.lock = lock
        self.lockUse = lockUse
        self.isOffline = isOffline
    }
}

/// Brings the layers and the base of a project to this machine, at the commits and digests that the lock names.
package struct ProjectResolver: Sendable {
    let cache: Cache
    private let onActivity: @Sendable (String) -> Void

    /// - Parameter onActivity: is told what takes time.
    package init(cache: Cache, onActivity: @escaping @Sendable (String) -> Void = { _ in }) {
        self.cache = cache
        self.onActivity = onActivity
    }

    /// - Throws: what `Plan.init` throws; `unavailable` for what cannot be fetched, `lock-drift`.
    package func resolve(_ request: ProjectRequest) async throws -> ResolvedProject {
        var fetched = Fetched()
        var lock: LockFile?
        var held: [EntryUse] = []
        var notes: [String] = []
        var recipeFile: String?
        switch request.project {
        case .recipe(let path):
            let recipe = try Recipe(project: path).selecting(variant: request.variant)
            recipeFile = recipe.file
            let isRenewed = request.lockUse == .renew
            var file = try LockFile(in: recipe.folder, variant: request.variant, replacingDamaged: isRenewed)
            guard file.isPresent || request.lockUse != .require else {
                throw FlashlayerError(
                    .lockDrift,
                    "--locked needs a \(LockFile.fileName), and there is none beside \(recipe.file)",
                    advice: "build once without --locked, and keep the file with the recipe"
                )
            }
            let known = request.lockUse == .renew ? BuildLock() : file.build
            let (layers, locked) = try await gitLayers(of: recipe, known, request, &held)
            fetched.layers = layers
            file.build.layers = locked
            file.build.base = nil
            if case .image(let image, let sha256) = recipe.base, !request.needsBase {
                fetched.base = .image(path: image, sha256: sha256)
            } else if case .image(let image, _) = recipe.base {
                let pinned = known.base.flatMap { $0.image == image ? $0.sha256 : nil }
                let (path, sha256) = try await base(recipe, pinned, request, &held)
                if let pinned, pinned != sha256 {
                    notes.append("the base image \(image.printable) is another one than flashlayer.lock names")
                }
                fetched.base = .image(path: path, sha256: sha256)
                file.build.base = .init(image: image, sha256: sha256)
            }
            lock = file
        case .folders(let base, let layers):
            // There is no recipe that a lock could lie beside; yet the next build is to find what this one chose.
            let place = ([base ?? ""] + layers).map { Path.absolute($0) }.joined(separator: "\n")
            lock = try LockFile(in: "\(cache.path)/locks/\(SHA256.digest(of: place).hex.prefix(32))", variant: nil)
            guard let base, request.needsBase else {
                fetched.base = base.map { .image(path: $0, sha256: nil) }
                break
            }
            let path = try Base.existingImage(base, from: FileManager.default.currentDirectoryPath, place: "--base")
            fetched.base = .image(path: path, sha256: try await FileDigest(cache: cache).sha256(of: path))
        }
        let plan = try await onAbandonableThread(named: "plan") { [fetched] in
            try Plan(
                request.project,
                layerPath: request.layerPath,
                variant: request.variant,
                arguments: request.arguments,
                fetched: fetched
            )
        }
        return ResolvedProject(
            plan,
            recipe: recipeFile,
            lock: lock,
            lockUse: request.lockUse,
            isOffline: request.isOffline,
            notes: notes,
            held: held
        )
    }

    private func gitLayers(
        of recipe: Recipe,
        _ known: BuildLock,
        _ request: ProjectRequest,
        _ held: inout [EntryUse]
    ) async throws -> ([Int: Fetched.GitLayer], [BuildLock.GitLayer]) {
        var layers: [Int: Fetched.GitLayer] = [:]
        var locked: [BuildLock.GitLayer] = []
        for entry in recipe.layers {
            guard case .git(let written, let ref) = entry.origin else { continue }
            let place = "\(recipe.file):\(entry.line)"
            let pin = known.layers.first { $0.url == written && $0.ref == ref }
            guard pin != nil || request.lockUse != .require else {
                throw FlashlayerError(
                    .lockDrift,
                    "\(place): \(LockFile.fileName) has no commit for the layer \(written.printable)\(ref.map { " at \($0)" } ?? "")",
                    advice: "flashlayer update"
                )
            }
            let repository = GitRepository(
                url: Self.url(written, in: recipe),
                ref: ref,
                place: place,
                cache: cache,
                isOffline: request.isOffline
            )
            let checkout = try await repository.checkout(commit: pin?.commit, onActivity: onActivity)
            held.append(checkout.use)
            layers[entry.line] = .init(folder: checkout.folder, source: "git \(written)#\(checkout.commit)")
            locked.append(.init(url: written, ref: ref, commit: checkout.commit))
        }
        return (layers, locked)
    }

    /// A path, as git takes it too, starts from the recipe.
    static func url(_ written: String, in recipe: Recipe) -> String {
        let isPath = written.hasPrefix("/") || written.hasPrefix("./") || written.hasPrefix("../")
        return isPath ? Path.absolute(written, from: recipe.folder) : written
    }

    /// - Parameter pinned: the digest that the lock has for this very image.
    /// - Returns: the file on this machine, and its digest.
    private func base(
        _ recipe: Recipe,
        _ pinned: String?,
        _ request: ProjectRequest,
        _ held: inout [EntryUse]
    ) async throws -> (path: String, sha256: String) {
        guard case .image(let image, let written) = recipe.base else {
            throw FlashlayerError(.fault, "the recipe has no base image")
        }
        let place = "\(recipe.file):\(recipe.baseLine)"
        func confirm(_ found: String?) throws {
            guard request.lockUse == .require, pinned == nil || pinned != found else { return }
            throw FlashlayerError(
                .lockDrift,
                "\(place): the base image \(image.printable) is not the one that \(LockFile.fileName) names",
                advice: "get the right file, or renew the lock: flashlayer update"
            )
        }
        let wanted = written?.lowercased()
        if image.contains("://") {
            try confirm(wanted ?? pinned)
            let file = RemoteFile(url: image, place: place, cache: cache, isOffline: request.isOffline)
            let (path, found) = try await file.fetch(sha256: wanted ?? pinned, onActivity: onActivity)
            if let use = EntryUse(of: path) { held.append(use) }
            return (path, found)
        }
        let path = try Base.existingImage(image, from: recipe.folder, place: place)
        let found = try await FileDigest(cache: cache).sha256(of: path)
        if let wanted, wanted != found {
            throw FlashlayerError(
                .digestMismatch,
                "\(place): the base image \(path.printable) is not the one that the recipe names: its SHA-256 is \(found)",
                advice: "get the right file, or put that digest into the recipe"
            )
        }
        try confirm(found)
        return (path, found)
    }
}
