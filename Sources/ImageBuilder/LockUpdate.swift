// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
package import Resolution

/// `flashlayer update`: resolves all of a project anew, and says what moved.
package struct LockUpdate: Sendable {
    /// Something that is pinned to another state than before.
    package struct Change: Codable, Sendable, Equatable {
        /// "package jq", "layer https://...", "base image".
        package let what: String
        /// nil: it was not there.
        package let before: String?
        /// nil: it is not there any more.
        package let after: String?
    }

    package private(set) var request: ProjectRequest
    package let cache: Cache

    package init(_ request: ProjectRequest, cache: Cache) {
        self.request = request
        self.cache = cache
        self.request.lockUse = .renew
    }

    /// Writes the lock.
    ///
    /// - Throws: what resolving and making a base throw.
    package func run(observer: @escaping BuildObserver) async throws -> [Change] {
        let project = try await ProjectResolver(cache: cache) { observer(.activity($0)) }.resolve(request)
        guard let file = project.lock else { return [] }
        var lock = file
        let work = try await WorkFolder.make(in: cache)
        do {
            let log = try BuildLog(path: work.file("log"), observer: observer)
            lock.build = try await resolve(project, work, log)
            await work.remove()
        } catch {
            await work.remove()
            throw error
        }
        let stored = try LockFile(
            in: Path.parent(of: Path.absolute(lock.path)),
            variant: request.variant,
            replacingDamaged: true
        )
        .build
        try lock.save()
        return Self.changes(from: stored, to: lock.build)
    }

    private func resolve(_ project: ResolvedProject, _ work: WorkFolder, _ log: BuildLog) async throws -> BuildLock {
        var lock = project.lock?.build ?? BuildLock()
        let base = try await base(project, work, log)
        let request = PackageFetch.Request(project.plan, base)
        lock.bootstrap = base.selection
        lock.packages = nil
        lock.python = nil
        if !request.names.isEmpty {
            lock.packages = try await PackageFetch.resolve(
                request,
                locked: nil,
                lockUse: .renew,
                isOffline: false,
                cache: cache,
                work: work
            ) { log.tell($0) }.selection
        }
        return lock
    }

    /// A base that is there serves as long as nothing of it would be upgraded.
    private func base(_ project: ResolvedProject, _ work: WorkFolder, _ log: BuildLog) async throws -> BaseEntry {
        var isOld = false
        if project.plan.isBootstrap, let entry = try BaseBuild.kept(for: project, in: cache) {
            let upgrades = try await PackageFetch.upgrades(.init(project.plan, entry), work: work) { log.tell($0) }
            isOld = !upgrades.isEmpty
            if isOld {
                log.tell(.note("the base is made again: \(upgrades.prefix(3).joined(separator: ", ")) moved"))
            }
        }
        return try await BaseBuild(project: project, cache: cache, work: work, log: log).entry(refresh: isOld)
    }

    static func changes(from old: BuildLock, to new: BuildLock) -> [Change] {
        var changes: [Change] = []
        func note(_ what: String, _ before: String?, _ after: String?) {
            if before != after { changes.append(Change(what: what, before: before, after: after)) }
        }
        func compare(_ kind: String, _ before: [String: String], _ after: [String: String]) {
            for name in Set(before.keys).union(after.keys).sorted() {
                note("\(kind) \(name)", before[name], after[name])
            }
        }
        func commits(_ lock: BuildLock) -> [String: String] {
            Dictionary(
                lock.layers.map { ($0.url + ($0.ref.map { " at \($0)" } ?? ""), String($0.commit.prefix(12))) },
                uniquingKeysWith: { first, _ in first }
            )
        }
        func versions(_ selection: BuildLock.Selection?) -> [String: String] {
            Dictionary(
                (selection?.packages ?? []).map { ($0.name, $0.version) },
                uniquingKeysWith: { first, _ in first }
            )
        }
        compare("layer", commits(old), commits(new))
        func digest(_ lock: BuildLock) -> String? { lock.base.map { "\($0.image) \($0.sha256.prefix(12))" } }
        note("base image", digest(old), digest(new))
        compare("base package", versions(old.bootstrap), versions(new.bootstrap))
        compare("package", versions(old.packages), versions(new.packages))
        return changes
    }
}
