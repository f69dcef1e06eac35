// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Programs
import Resolution
import Synchronization

/// The part of a build behind its base: goes on from the last checkpoint that holds, and leaves new ones.
struct BuildRun: Sendable {
    let project: ResolvedProject
    let base: BaseEntry
    let segments: [BuildSegment]
    let packages: PackageFetch?
    let selection: GuestSelection
    /// Is told once what the guest's package managers chose, when they were free to: the keys of all that follows depend on
    /// it.
    let settle: @Sendable (GuestSelection) throws -> [BuildSegment]
    let secrets: [BuildSecret]
    /// nil: the disk of a build that fails is thrown away.
    let failedDisk: FailedDisk?
    let cache: Cache
    let work: WorkFolder
    let log: BuildLog

    private var plan: Plan { project.plan }

    /// The disk behind the last phase.
    ///
    /// - Parameter start: what happens before the first phase counts from here.
    func finished(refreshing refresh: Set<Phase>, since start: ContinuousClock.Instant) async throws -> FinishedDisk {
        let kept = segments.lastKept(refreshing: refresh)
        // A checkpoint may be removed between the look and the use: then it is not there, and an earlier one serves.
        let made: String?
        if let kept, let checkpoint = Checkpoint(at: segments[kept].checkpoint) {
            EntryUse.touch(checkpoint.path)
            tellCached(through: kept)
            if kept == segments.count - 1 { return FinishedDisk(checkpoint) }
            tellDue(after: kept, refresh)
            made = try await run(from: kept + 1, upon: checkpoint, since: start)
        } else {
            tellDue(after: nil, refresh)
            made = try await run(from: 0, upon: nil, since: start)
        }
        if let made, let checkpoint = Checkpoint(at: made) { return FinishedDisk(checkpoint) }
        return FinishedDisk(folder: folder(of: segments.count - 1))
    }

    private func folder(of segment: Int) -> String { work.file("checkpoint-\(segment)") }

    /// A phase is cached when the last of its parts is.
    private func tellCached(through kept: Int) {
        for phase in Phase.allCases where phase != .base {
            guard let last = segments.lastIndex(where: { $0.phase == phase }), last <= kept else { continue }
            log.tell(.cached(phase))
        }
    }

    private func tellDue(after kept: Int?, _ refresh: Set<Phase>) {
        let reasons = segments.reasons(
            after: kept,
            of: plan,
            in: cache,
            refreshing: refresh,
            doubt: selection.isNeeded ? selection.doubt : nil
        )
        for (phase, reason) in reasons { log.tell(.due(phase, reason: reason)) }
    }

    /// Everything from one part on, in one launch of the appliance.
    ///
    /// - Returns: where the disk behind the last part is kept; nil: it is not, and lies where it was made.
    private func run(from first: Int, upon checkpoint: Checkpoint?, since start: ContinuousClock.Instant) async throws
        -> String?
    {
        try await HostCheck.appliance()
        let accelerator = try await HostAccelerator.find()
        if let note = accelerator.note { log.tell(.note(note)) }
        let last = segments.count - 1
        for segment in first...last { try Cache.makeFolder(folder(of: segment)) }
        let disk = "\(folder(of: last))/disk.qcow2"
        if let checkpoint {
            try await Program("cp", debianPackage: "coreutils").run([
                "--sparse=always", "--reflink=auto", "--", checkpoint.disk, disk,
            ])
        } else {
            try await QEMU.image().run(["create", "-q", "-f", "qcow2", "-b", base.disk, "-F", "qcow2", disk])
        }
        var drives = [ApplianceJob.Drive(path: disk, format: "qcow2", readOnly: false)]
        var chosen: (drive: Int, chosen: [AptSteps.Version])?
        let phases = Set(segments[first...].map(\.phase))
        if let packages, phases.contains(.packages) {
            let drive = work.file("packages.img")
            try await packages.makeDrive(at: drive)
            drives.append(.init(path: drive, format: "raw", readOnly: true))
            let versions = packages.selection.packages.map {
                AptSteps.Version(name: $0.name, version: $0.version, architecture: $0.architecture)
            }
            chosen = (drive: 1, chosen: versions)
        }
        var downloads: DownloadDrive?
        if selection.isNeeded, phases.contains(.packages) {
            let drive = try await DownloadDrive.take(for: base.facts, cache: cache, work: work)
            drives.append(.init(path: drive.path, format: "raw", readOnly: false))
            downloads = drive
        }
        let stages = BuildStages(
            plan: plan,
            guest: base.facts,
            earlyArchive: phases.contains(.packages) ? try await archive(plan.earlyFiles, "early.tar") : nil,
            overlayArchive: phases.contains(.configs) ? try await archive(plan.layingOrder, "overlay.tar") : nil,
            packages: chosen,
            guestPackages: downloads == nil
                ? nil : (drive: drives.count - 1, selection: selection, folder: folder(of: first)),
            hasNetwork: !project.isOffline,
            packageList: "\(folder(of: last))/installed"
        )
        let temporary = work.file("appliance")
        try Cache.makeFolder(temporary)
        let job = ApplianceJob(
            drives: drives,
            accelerator: accelerator.accelerator,
            network: phases.contains { stages.needsNetwork($0) },
            temporaryFolder: temporary,
            stages: try jobStages(from: first, stages)
        )
        let settled = SettledSegments { [self] in
            guard selection.isOpen, phases.contains(.packages) else { return segments }
            return try settle(try selection.answered(from: folder(of: first)))
        }
        log.tell(.activity("starting the appliance"))
        do {
            try await CheckpointKeeper.keeping { [self] path in
                guard let index = segments.indices.first(where: { path == "\(folder(of: $0))/disk.qcow2" }) else {
                    return
                }
                await keep(index, as: try settled.all[index])
            } during: { [log] report in
                try await ApplianceRun(job: job, log: log, phases: .shown(since: start), onCheckpoint: report).run()
            }
        } catch {
            // A script that fails does not make worse what was downloaded before.
            await downloads?.keep()
            guard let failedDisk, let error = error as? FlashlayerError else { throw error }
            throw await failedDisk.keep(disk, of: error, log: log)
        }
        await downloads?.keep()
        let finished = try settled.all[last]
        return isKept(finished) && FileManager.default.fileExists(atPath: disk) ? await keep(last, as: finished) : nil
    }

    private func jobStages(from first: Int, _ stages: BuildStages) throws -> [ApplianceJob.Stage] {
        let last = segments.count - 1
        var list: [ApplianceJob.Stage] = []
        for index in first...last {
            let segment = segments[index]
            let steps = try stages.steps(segment.phase, layer: segment.layer)
            var all: [GuestStep] = []
            if !steps.isEmpty {
                all = [.mount(base.facts.mounts)] + FinishSteps.begin(base.time)
                if segment.phase == .scripts { all += ScriptSteps.lay(secrets) }
                all += steps + [.unmount]
                if index != last, isKept(segment) {
                    all.append(.checkpoint(hostPath: "\(folder(of: index))/disk.qcow2"))
                }
            }
            if list.last?.phase == segment.phase {
                list[list.count - 1].steps += all
            } else {
                list.append(.init(segment.phase, all))
            }
        }
        return list
    }

    /// Scripts that should have had the network and did not may have done less: nothing after them is kept.
    private func isKept(_ segment: BuildSegment) -> Bool {
        let isCutOff = project.isOffline && plan.image.network && plan.layers.contains { !$0.scripts.isEmpty }
        return !isCutOff || segment.phase == .packages || segment.phase == .configs
    }

    /// A checkpoint that cannot be kept costs the next build time, and this one nothing.
    ///
    /// - Returns: where it is.
    @discardableResult
    private func keep(_ index: Int, as segment: BuildSegment) async -> String? {
        let origin = Checkpoint.Origin(
            project: plan.name,
            variant: plan.variant,
            phase: segment.phase,
            layer: segment.layer,
            ingredients: segment.ingredients,
            parent: base.path
        )
        do {
            let isKept = try await Checkpoint.keep(folder(of: index), origin, at: segment.checkpoint)
            return isKept ? segment.checkpoint : nil
        } catch {
            if !Task.isCancelled {
                log.tell(.warning("a checkpoint is not kept: \(FlashlayerError(wrapping: error).message)"))
            }
            return nil
        }
    }

    private func archive(_ entries: [OverlayEntry], _ name: String) async throws -> String? {
        guard !entries.isEmpty else { return nil }
        let path = work.file(name)
        try await OverlayArchive.write(entries, to: path)
        return path
    }
}

/// The disk that a build ends with, whether or not it is in the cache.
struct FinishedDisk: Sendable {
    let disk: String
    let packageList: String
    /// nil: the disk is in nobody's cache.
    let checkpoint: Checkpoint?

    init(_ checkpoint: Checkpoint) {
        disk = checkpoint.disk
        packageList = checkpoint.packageList
        self.checkpoint = checkpoint
    }

    init(folder: String) {
        disk = "\(folder)/disk.qcow2"
        packageList = "\(folder)/installed"
        checkpoint = nil
    }
}

/// The parts of a build, asked for by several and worked out once.
private final class SettledSegments: Sendable {
    private let work: @Sendable () throws -> [BuildSegment]
    private let known = Mutex<[BuildSegment]?>(nil)

    init(_ work: @escaping @Sendable () throws -> [BuildSegment]) {
        self.work = work
    }

    var all: [BuildSegment] {
        get throws {
            try known.withLock { known in
                let segments = try known ?? work()
                known = segments
                return segments
            }
        }
    }
}

/// Takes care of checkpoints beside the build that makes them: checking and flushing them holds nobody up.
enum CheckpointKeeper {
    /// - Parameters:
    ///   - keep: is given one path after the other.
    ///   - work: reports paths as they are ready.
    static func keeping(
        _ keep: @escaping @Sendable (String) async throws -> Void,
        during work: @escaping @Sendable (_ report: @escaping @Sendable (String) -> Void) async throws -> Void
    ) async throws {
        let (paths, continuation) = AsyncStream.makeStream(of: String.self)
        let keeper = Task {
            for await path in paths { try await keep(path) }
        }
        try await withTaskCancellationHandler {
            do {
                try await work { continuation.yield($0) }
            } catch {
                // What was reported before the failure is complete: it is kept, and the next build goes on from there.
                continuation.finish()
                _ = await keeper.result
                throw error
            }
            continuation.finish()
            try await keeper.value
        } onCancel: {
            keeper.cancel()
        }
    }
}
