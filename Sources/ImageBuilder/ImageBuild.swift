// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import FoundationEssentials
import Glibc
package import Layers
import Model
import Programs
package import Resolution

/// Carries out a plan: from a base through packages, configs, scripts and finish to an image file.
package struct ImageBuild: Sendable {
    package let project: ResolvedProject
    package let output: ImageOutput
    package let cache: Cache
    /// Phases that are carried out even if their result is at hand.
    package var refresh: Set<Phase>
    /// What scripts may read, and nobody keeps.
    package var secrets: [BuildSecret]
    /// Whether the disk of a build that fails is kept, beside where the image was to be.
    package var keepsFailed: Bool

    package var plan: Plan { project.plan }

    package init(
        _ project: ResolvedProject,
        output: ImageOutput,
        cache: Cache,
        refresh: Set<Phase> = [],
        secrets: [BuildSecret] = [],
        keepsFailed: Bool = false
    ) {
        self.keepsFailed = keepsFailed
        self.project = project
        self.output = output
        self.cache = cache
        self.refresh = refresh
        self.secrets = secrets
    }

    /// Cancelling the task stops the build; nothing of it stays behind but its log and what was complete of it in the cache.
    ///
    /// - Parameter observer: is told what goes on.
    /// - Throws: `FlashlayerError`, or `CancellationError`.
    package func run(observer: @escaping BuildObserver) async throws -> BuildResult {
        let inputs = await baseFiles() + secrets.map(\.path) + [project.recipe, project.lock?.path].compactMap { $0 }
        try output.confirmPossible(replacingNoneOf: inputs, orWithin: plan.layers.map(\.path))
        let redaction = try Redaction(secrets)
        let log = try BuildLog(path: output.log, redaction: redaction, observer: observer)
        do {
            let work = try await WorkFolder.make(in: cache)
            do {
                let result = try await run(work, log)
                await work.remove()
                return result
            } catch {
                await work.remove()
                throw error
            }
        } catch let error as FlashlayerError {
            let error = redaction.apply(to: error)
            log.close(with: error)
            throw error
        } catch {
            log.close(with: FlashlayerError(.interrupted, "interrupted"))
            throw error
        }
    }

    /// The base image and its backing files.
    private func baseFiles() async -> [String] {
        guard case .image(let path, _) = plan.base else { return [] }
        // An image that cannot be looked into is reported by whoever reads it.
        return (try? await ImageFormat.files(of: path)) ?? [path]
    }

    private func run(_ work: WorkFolder, _ log: BuildLog) async throws -> BuildResult {
        var lock = project.lock
        let base = try await BaseBuild(project: project, cache: cache, work: work, log: log)
            .entry(refresh: refresh.contains(.base))
        EntryUse.touch(base.path)
        let start = ContinuousClock.now
        let packages = try await selectPackages(base, work, log)
        lock?.build.bootstrap = base.selection
        lock?.build.packages = packages?.selection
        let selection = try GuestSelection(project, base)
        try selection.confirm(project.lockUse)
        selection.write(into: &lock)
        save(lock, log)

        let segments = try segments(packages, selection, base)
        guard let last = segments.last else { throw FlashlayerError(.fault, "the plan has no phases") }
        // Two builds of the same do the work once.
        let held = try await KeyLock.hold(last.checkpoint + ".lock") {
            log.tell(.note("another flashlayer builds the same image: waiting for it"))
        }
        defer { withExtendedLifetime(held) {} }
        let run = BuildRun(
            project: project,
            base: base,
            segments: segments,
            packages: packages,
            selection: selection,
            settle: { [self, lock] chosen in
                var lock = lock
                chosen.write(into: &lock)
                save(lock, log)
                return try self.segments(packages, chosen, base)
            },
            secrets: secrets,
            failedDisk: keepsFailed ? FailedDisk(path: output.failedDisk) : nil,
            cache: cache,
            work: work,
            log: log
        )
        let finished = try await run.finished(refreshing: refresh, since: start)
        let result = try await output.write(finished, plan: plan, work: work, log: log)
        await CachePruning(cache: cache).pruneAutomatically()
        return result
    }

    /// A project that cannot be written to is built all the same.
    private func save(_ lock: LockFile?, _ log: BuildLog) {
        guard let lock, project.lockUse != .require else { return }
        do {
            try lock.save()
        } catch {
            log.tell(.warning("nothing is pinned: \(FlashlayerError(wrapping: error).message)"))
        }
    }

    private func segments(_ packages: PackageFetch?, _ selection: GuestSelection, _ base: BaseEntry) throws
        -> [BuildSegment]
    {
        let resolved = (packages?.ingredients ?? []) + selection.ingredients
        return try BuildSegment.all(of: try plan.phases(resolved: [.packages: resolved]), base: base, cache: cache)
    }

    private func selectPackages(_ base: BaseEntry, _ work: WorkFolder, _ log: BuildLog) async throws -> PackageFetch? {
        let request = PackageFetch.Request(plan, base)
        guard !request.names.isEmpty else { return nil }
        return try await PackageFetch.resolve(
            request,
            locked: project.lock?.build.packages,
            lockUse: project.lockUse,
            isOffline: project.isOffline,
            cache: cache,
            work: work
        ) { log.tell($0) }
    }
}
