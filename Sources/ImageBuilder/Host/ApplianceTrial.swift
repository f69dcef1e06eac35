// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import Programs
package import Resolution

extension HostCheck {
    /// Starts the appliance, with a network and an empty disk, and ends it again: all that the table can only guess at.
    package static func launch(in cache: Cache) -> HostCheck {
        HostCheck("appliance-launch", .appliance) { _ in
            do {
                let start = ContinuousClock.now
                let accelerator = try await tryAppliance(in: cache)
                let seconds = ((ContinuousClock.now - start) / .seconds(1)).tenths
                return .good("the appliance came up and ended in \(seconds) s (\(accelerator.rawValue.uppercased()))")
            } catch {
                let error = FlashlayerError(wrapping: error)
                return .lacking(error.message, remedy: error.advice)
            }
        }
    }

    private static func tryAppliance(in cache: Cache) async throws -> Accelerator {
        let accelerator = try await HostAccelerator.find().accelerator
        let work = try await WorkFolder.make(in: cache)
        do {
            let disk = work.file("disk.qcow2")
            try await QEMU.image().run(["create", "-q", "-f", "qcow2", disk, "1M"])
            let temporary = work.file("appliance")
            try Cache.makeFolder(temporary)
            let job = ApplianceJob(
                drives: [.init(path: disk, format: "qcow2", readOnly: false)],
                accelerator: accelerator,
                network: true,
                temporaryFolder: temporary,
                stages: []
            )
            try await ApplianceRun(job: job, log: try BuildLog(path: work.file("log")) { _ in }).run()
        } catch {
            await work.remove()
            throw error
        }
        await work.remove()
        return accelerator
    }
}
