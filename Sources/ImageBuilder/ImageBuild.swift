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
    package let plan: Plan
    package let output: ImageOutput
    package let cache: Cache
    /// Phases that are carried out even if their result is at hand.
    package var refresh: Set<Phase>

    package init(_ plan: Plan, output: ImageOutput, cache: Cache, refresh: Set<Phase> = []) {
        self.plan = plan
        self.output = output
        self.cache = cache
        self.refresh = refresh
    }

    /// Cancelling the task stops the build; nothing of it stays behind but its log and the bases that were complete.
    ///
    /// - Parameter observer: is told what goes on.
    /// - Throws: `FlashlayerError`, or `CancellationError`.
    package func run(observer: @escaping BuildObserver) async throws -> BuildResult {
        try HostCheck.appliance()
        try output.confirmPossible(replacingNoneOf: await baseFiles())
        let log = try BuildLog(path: output.log, observer: observer)
        do {
            let accelerator = try await HostAccelerator.find()
            if let note = accelerator.note { log.tell(.note(note)) }
            let work = try await WorkFolder.make(in: cache)
            do {
                let result = try await run(work, accelerator.accelerator, log)
                await work.remove()
                return result
            } catch {
                await work.remove()
                throw error
            }
        } catch let error as FlashlayerError {
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

    private func run(_ work: WorkFolder, _ accelerator: Accelerator, _ log: BuildLog) async throws -> BuildResult {
        let base = try await BaseBuild(
            plan: plan,
            key: try key(of: .base),
            cache: cache,
            work: work,
            accelerator: accelerator,
            log: log
        ).entry(refresh: refresh.contains(.base))
        let start = ContinuousClock.now
        let packages = try await PackageFetch.resolve(plan, for: base, cache: cache, work: work, log: log)
        let resolved = packages.map { [Phase.packages: $0.ingredients] } ?? [:]
        let key = try FinishedEntry.key(finish: key(of: .finish, resolved), base: base)
        // Two builds of the same do the work once.
        let lock = try await KeyLock.hold(cache.finished(key) + ".lock") {
            log.tell(.note("another flashlayer builds the same image: waiting for it"))
        }
        defer { withExtendedLifetime(lock) {} }
        if refresh.isEmpty, let finished = FinishedEntry(at: cache.finished(key)) {
            for phase in Phase.allCases where phase != .base { log.tell(.cached(phase)) }
            return try await write(finished, work, log)
        }
        let folder = work.file("finished")
        try Cache.makeFolder(folder)
        try await apply(to: base, into: folder, packages, since: start, accelerator, work, log)
        return try await write(try await FinishedEntry.keep(folder, in: cache, key: key), work, log)
    }

    private func key(of phase: Phase, _ resolved: [Phase: [Ingredient]] = [:]) throws -> Digest {
        guard let planned = try plan.phases(resolved: resolved).first(where: { $0.phase == phase }) else {
            throw FlashlayerError(.fault, "the plan has no phase \(phase.rawValue)")
        }
        return planned.key
    }

    private func write(_ finished: FinishedEntry, _ work: WorkFolder, _ log: BuildLog) async throws -> BuildResult {
        let packages = try InstalledPackage.read(finished.packageList)
        return try await output.write(finished.disk, plan: plan, packages: packages, work: work, log: log)
    }

    /// Everything after the base, in one launch of the appliance.
    private func apply(
        to base: BaseEntry,
        into folder: String,
        _ packages: PackageFetch?,
        since start: ContinuousClock.Instant,
        _ accelerator: Accelerator,
        _ work: WorkFolder,
        _ log: BuildLog
    ) async throws {
        let disk = "\(folder)/disk.qcow2"
        try await QEMU.image().run(["create", "-q", "-f", "qcow2", "-b", base.disk, "-F", "qcow2", disk])
        var drives = [ApplianceJob.Drive(path: disk, format: "qcow2", readOnly: false)]
        if let packages {
            let drive = work.file("packages.img")
            try await packages.makeDrive(at: drive)
            drives.append(.init(path: drive, format: "raw", readOnly: true))
        }
        let stages = BuildStages(
            plan: plan,
            guest: base.facts,
            earlyArchive: try await archive(plan.earlyFiles, "early.tar", work),
            overlayArchive: try await archive(plan.mergedOverlay, "overlay.tar", work),
            packageDrive: packages == nil ? nil : 1
        )
        let temporary = work.file("appliance")
        try Cache.makeFolder(temporary)
        let job = ApplianceJob(
            drives: drives,
            accelerator: accelerator,
            network: stages.needsNetwork,
            temporaryFolder: temporary,
            stages: try stages.stages(packageList: "\(folder)/installed")
        )
        log.tell(.activity("starting the appliance"))
        try await ApplianceRun(job: job, log: log, phases: .shown(since: start)).run()
    }

    private func archive(_ entries: [OverlayEntry], _ name: String, _ work: WorkFolder) async throws -> String? {
        guard !entries.isEmpty else { return nil }
        let path = work.file(name)
        try await OverlayArchive.write(entries, to: path)
        return path
    }
}
