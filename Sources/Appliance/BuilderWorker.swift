// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Glibc
import Layers
import Model
import Programs

/// The whole of `flashlayer-builder`: one launch of the appliance, one job.
package enum BuilderWorker {
    /// - Returns: the exit status.
    package static func run() -> Int32 {
        let session = WorkerSession()
        do {
            let job = try session.receive(ApplianceJob.self)
            session.whenCancelled {
                // The call that waits for the appliance returns when its QEMU is gone. The handle cannot be asked for
                // the process: it is locked by that very call.
                ChildProcesses.kill()
            }
            try perform(job, session)
            return 0
        } catch let error as FlashlayerError {
            session.emit(ApplianceEvent.failed(error))
            return error.code.exitStatus
        } catch {
            let fault = FlashlayerError(.fault, "the builder failed: \(error)")
            session.emit(ApplianceEvent.failed(fault))
            return fault.code.exitStatus
        }
    }

    private static func perform(_ job: ApplianceJob, _ session: WorkerSession) throws {
        let guest = try launch(job, session)
        let runner = try StepRunner(guest, disk: job.drives.first?.path ?? "", session: session)
        do {
            for stage in job.stages { try runner.run(stage) }
            // Ends QEMU in order, so that everything written is in the image file.
            try unsafe guest.check { unsafe guestfs_shutdown($0) }
        } catch {
            try session.checkCancelled()
            let diagnosis = Diagnosis(runner.space()).error(for: error)
            // What was written until then is in the image file: somebody may want to look into it.
            try? unsafe guest.check { unsafe guestfs_shutdown($0) }
            throw diagnosis
        }
    }

    private static func launch(_ job: ApplianceJob, _ session: WorkerSession) throws -> GuestfsHandle {
        do {
            return try launch(job, accelerator: job.accelerator, session)
        } catch let failure as GuestfsHandle.Failure {
            try session.checkCancelled()
            guard job.accelerator == .kvm else { throw Diagnosis.launchError(failure) }
            session.emit(ApplianceEvent.emulated(reason: failure.message.firstLine))
            do {
                return try launch(job, accelerator: .tcg, session)
            } catch let failure as GuestfsHandle.Failure {
                try session.checkCancelled()
                throw Diagnosis.launchError(failure)
            }
        }
    }

    private static func launch(
        _ job: ApplianceJob,
        accelerator: Accelerator,
        _ session: WorkerSession
    ) throws -> GuestfsHandle {
        let start = ContinuousClock.now
        var attempt = 1
        while true {
            let guest = try GuestfsHandle()
            try guest.configure(job, accelerator: accelerator)
            try session.checkCancelled()
            try unsafe guest.check { unsafe guestfs_launch($0) }
            // What runs in the guest sees the kernel's names, and some of it writes them down, as GRUB does in its menu: the
            // same layers would give another image. Mostly the next launch finds the disks as they were added.
            if try attempt == mostLaunches || DiskNames(of: guest).areInOrder {
                session.emit(ApplianceEvent.launched(seconds: (ContinuousClock.now - start) / .seconds(1)))
                return guest
            }
            attempt += 1
        }
    }

    /// So many times out of order in a row is a machine that will not have it otherwise: the build is right all the same.
    private static let mostLaunches = 6
}

extension String {
    var firstLine: String { split(whereSeparator: \.isNewline).first.map(String.init) ?? self }
}
