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
        return try await output.write(disk, plan: plan, work: work, log: log)
    }
}
