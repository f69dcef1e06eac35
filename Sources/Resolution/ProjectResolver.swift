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

    package init(
        _ project: Project,
        layerPath: [String] = [],
        variant: String? = nil,
        arguments: [Layer.Variable] = [],
        lockUse: LockUse = .obey,
        isOffline: Bool = false
    ) {
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

    /// A plan that is built as it is, with no lock.
    package init(_ plan: Plan, lock: LockFile? = nil, lockUse: LockUse = .obey, isOffline: Bool = false) {
        self.plan = plan
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
        switch request.project {
        case .recipe(let path):
            let recipe = try Recipe(project: path).selecting(variant: request.variant)
            var file = try LockFile(in: recipe.folder, variant: request.variant)
            guard file.isPresent || request.lockUse != .require else {
                throw FlashlayerError(
                    .lockDrift,
                    "--locked needs a \(LockFile.fileName), and there is none beside \(recipe.file)",
                    advice: "build once without --locked, and keep the file with the recipe"
                )
            }
            let known = request.lockUse == .renew ? BuildLock() : file.build
            let (layers, locked) = try await gitLayers(of: recipe, known, request)
            fetched.layers = layers
            file.build.layers = locked
            fetched.base = try await base(recipe, known, request)
            if case .image(_, let sha256)? = fetched.base {
                file.build.baseSha256 = sha256
            } else {
                file.build.baseSha256 = nil
            }
            lock = file
        case .folders(let base, let layers):
            // There is no recipe that a lock could lie beside; yet the next build is to find what this one chose.
            let place = ([base ?? ""] + layers).map { Path.absolute($0) }.joined(separator: "\n")
            lock = try LockFile(in: "\(cache.path)/locks/\(SHA256.digest(of: place).hex.prefix(32))", variant: nil)
            guard let base else { break }
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
        return ResolvedProject(plan, lock: lock, lockUse: request.lockUse, isOffline: request.isOffline)
    }

    private func gitLayers(of recipe: Recipe, _ known: BuildLock, _ request: ProjectRequest) async throws
        -> ([Int: Fetched.GitLayer], [BuildLock.GitLayer])
    {
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

    private func base(_ recipe: Recipe, _ known: BuildLock, _ request: ProjectRequest) async throws -> Base {
        guard case .image(let image, let sha256) = recipe.base else { return recipe.base }
        let place = "\(recipe.file):\(recipe.baseLine)"
        if image.contains("://") {
            guard image.hasPrefix("http://") || image.hasPrefix("https://") else {
                throw FlashlayerError(.badRecipe, "\(place): a base image is a path, or a URL of http or https")
            }
            let file = RemoteFile(url: image, place: place, cache: cache, isOffline: request.isOffline)
            let (path, found) = try await file.fetch(sha256: sha256 ?? known.baseSha256, onActivity: onActivity)
            return .image(path: path, sha256: found)
        }
        let path = try Base.existingImage(image, from: recipe.folder, place: place)
        let found = try await FileDigest(cache: cache).sha256(of: path)
        if let sha256, sha256 != found {
            throw FlashlayerError(
                .digestMismatch,
                "\(place): the base image \(path.printable) is not the one that the recipe names: its SHA-256 is \(found)",
                advice: "get the right file, or put that digest into the recipe"
            )
        }
        guard request.lockUse != .require || known.baseSha256 == found else {
            throw FlashlayerError(
                .lockDrift,
                "\(place): the base image \(path.printable) is not the one that \(LockFile.fileName) names",
                advice: "get the right file, or renew the lock: flashlayer update"
            )
        }
        return .image(path: path, sha256: found)
    }
}
