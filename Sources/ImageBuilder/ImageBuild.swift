// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
package import Layers
import Model
import Programs

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
        try output.confirmPossible()
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
        }
    }

    private func run(_ work: WorkFolder, _ accelerator: Accelerator, _ log: BuildLog) async throws -> BuildResult {
        let phases = try plan.phases()
        guard let basePhase = phases.first(where: { $0.phase == .base }) else {
            throw FlashlayerError(.fault, "the plan has no base phase")
        }
        let base = try await BaseBuild(
            plan: plan,
            key: basePhase.key,
            cache: cache,
            work: work,
            accelerator: accelerator,
            log: log
        ).entry(refresh: refresh.contains(.base))
        let disk = work.file("disk.qcow2")
        try await QEMU.image().run(["create", "-q", "-f", "qcow2", "-b", base.disk, "-F", "qcow2", disk])
        let installed = try await apply(to: disk, base: base, accelerator: accelerator, work: work, log: log)
        return try await output.write(disk, plan: plan, packages: installed, work: work, log: log)
    }

    /// Everything after the base, in one launch of the appliance.
    ///
    /// - Returns: the packages that the guest then has.
    private func apply(
        to disk: String,
        base: BaseEntry,
        accelerator: Accelerator,
        work: WorkFolder,
        log: BuildLog
    ) async throws -> [InstalledPackage] {
        var drives = [ApplianceJob.Drive(path: disk, format: "qcow2", readOnly: false)]
        let start = ContinuousClock.now
        if try await fetchPackages(for: base, into: work.file("packages.img"), work: work, log: log) {
            drives.append(.init(path: work.file("packages.img"), format: "raw", readOnly: true))
        }
        let stages = BuildStages(
            plan: plan,
            guest: base.facts,
            earlyArchive: try await archive(plan.earlyFiles, "early.tar", work),
            overlayArchive: try await archive(plan.mergedOverlay, "overlay.tar", work),
            packageDrive: drives.count > 1 ? 1 : nil
        )
        let temporary = work.file("appliance")
        try Cache.makeFolder(temporary)
        let list = work.file("installed")
        let job = ApplianceJob(
            drives: drives,
            accelerator: accelerator,
            network: stages.needsNetwork,
            temporaryFolder: temporary,
            stages: try stages.stages(packageList: list)
        )
        log.tell(.activity("starting the appliance"))
        try await ApplianceRun(job: job, log: log, phases: .shown(since: start)).run()
        return try InstalledPackage.read(list)
    }

    /// - Returns: whether there is anything to install; then the drive is made.
    private func fetchPackages(for base: BaseEntry, into drive: String, work: WorkFolder, log: BuildLog) async throws
        -> Bool
    {
        let packages = BuildStages.debianPackages(of: plan, for: base.facts)
        guard !packages.isEmpty else { return false }
        let root = try await AptRoot(
            in: work,
            state: base.packageState,
            architecture: base.facts.architecture,
            early: plan.earlyFiles,
            cache: cache,
            log: log
        )
        let downloads = try await root.fetch(packages, recommends: plan.recommends) { name in
            let layers = plan.layers.filter { $0.debianPackages.contains { $0.hasPackageName(name) } }.map(\.name)
            return layers.isEmpty ? "needed by the recipe" : "asked for by \(layers.joined(separator: ", "))"
        }
        try await root.makeDrive(downloads, at: drive)
        return true
    }

    private func archive(_ entries: [OverlayEntry], _ name: String, _ work: WorkFolder) async throws -> String? {
        guard !entries.isEmpty else { return nil }
        let path = work.file(name)
        try await OverlayArchive.write(entries, to: path)
        return path
    }
}

extension String {
    /// Whether an entry of a list (`curl`, `curl=7.88*`, `curl/bookworm-backports`, `-curl`) is about this package.
    fileprivate func hasPackageName(_ name: String) -> Bool {
        let entry = hasPrefix("-") ? dropFirst() : self[...]
        return entry.prefix { $0 != "=" && $0 != "/" } == name
    }
}
