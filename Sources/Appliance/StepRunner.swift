// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import FoundationEssentials
import Layers
import Model
import Programs

/// Carries out the steps of a job in an appliance that is up.
final class StepRunner {
    private let guest: GuestfsHandle
    private let session: WorkerSession
    private let console: ConsoleLines
    /// The image file of the first drive.
    private let disk: String
    private var found: GuestFacts?
    private var mounts: [GuestFacts.Mount] = []

    init(_ guest: GuestfsHandle, disk: String, session: WorkerSession) throws {
        self.guest = guest
        self.disk = disk
        self.session = session
        console = ConsoleLines { source, line in session.emit(ApplianceEvent.output(source: source, line: line)) }
        try guest.listen { [console] in console.receive($0) }
    }

    /// - Throws: `FlashlayerError`, or `GuestfsHandle.Failure` for a failed call into the library.
    func run(_ stage: ApplianceJob.Stage) throws {
        let clock = ContinuousClock()
        session.emit(ApplianceEvent.started(stage.phase))
        let duration = try clock.measure {
            for step in stage.steps {
                try session.checkCancelled()
                try perform(step)
            }
        }
        session.emit(ApplianceEvent.finished(stage.phase, seconds: duration / .seconds(1)))
    }

    private func perform(_ step: GuestStep) throws {
        switch step {
        case .inspect:
            let facts = try Inspection(guest: guest).facts()
            found = facts
            session.emit(ApplianceEvent.inspected(facts))
        case .mountFound:
            try mount(found?.mounts ?? [])
        case .mount(let mounts):
            try mount(mounts)
        case .growRoot:
            try GrowRoot(guest: guest).grow(found?.mounts ?? [])
        case .growAtFirstBoot:
            try growAtFirstBoot()
        case .mountDrive(let number, let path, let writable):
            let devices = try unsafe guest.strings { unsafe guestfs_list_devices($0) }
            guard devices.indices.contains(number) else {
                throw FlashlayerError(.fault, "the appliance has no drive \(number)")
            }
            try unsafe guest.check { unsafe guestfs_mkdir_p($0, path) }
            let options = writable ? "noatime" : "ro"
            try unsafe guest.check { unsafe guestfs_mount_options($0, options, devices[number], path) }
        case .unmountDrive(let path):
            try unsafe guest.check { unsafe guestfs_umount($0, path) }
        case .trim(let paths):
            // Not every file system can: then the image is larger than it need be, and nothing else.
            for path in paths { try? unsafe guest.check { unsafe guestfs_fstrim_argv($0, path, nil) } }
        case .readContent(let hostPath):
            try readContent(into: hostPath)
        case .unmount:
            try unmount()
        case .checkpoint(let path):
            try DiskCopy.copy(disk, to: path)
            session.emit(ApplianceEvent.checkpoint(path: path))
        case .makeFolder(let path):
            try unsafe guest.check { unsafe guestfs_mkdir_p($0, path) }
        case .setTime(let path, let seconds):
            try unsafe guest.check { unsafe guestfs_utimens($0, path, Int64(seconds), 0, Int64(seconds), 0) }
        case .write(let path, let contents, let mode):
            try unsafe guest.check { unsafe guestfs_write($0, path, contents, contents.utf8.count) }
            try unsafe guest.check { unsafe guestfs_chmod($0, Int32(mode), path) }
        case .upload(let hostPath, let path, let mode):
            try unsafe guest.check { unsafe guestfs_upload($0, hostPath, path) }
            try unsafe guest.check { unsafe guestfs_chmod($0, Int32(mode), path) }
        case .link(let path, let target):
            try unsafe guest.check { unsafe guestfs_ln_sf($0, target, path) }
        case .remove(let path):
            try unsafe guest.check { unsafe guestfs_rm_f($0, path) }
        case .download(let path, let hostPath):
            try unsafe guest.check { unsafe guestfs_download($0, path, hostPath) }
        case .relabel:
            try relabel()
        case .run(let command):
            try run(command)
        }
    }

    private func mount(_ mounts: [GuestFacts.Mount]) throws {
        self.mounts = mounts
        for mount in mounts {
            try unsafe guest.check { unsafe guestfs_mount_options($0, mount.options, mount.device, mount.path) }
        }
        // As in a running system: memory, so that nothing put there stays in the image.
        let text = """
            for folder in /run /tmp; do
                [ -d $folder ] && [ ! -L $folder ] || continue
                mount -t tmpfs -o mode=$([ $folder = /tmp ] && echo 1777 || echo 755) tmpfs $folder
            done
            mkdir -p /run/lock \(GuestFolder.scratch)
            chmod 1777 /run/lock
            """
        _ = try unsafe guest.string { unsafe guestfs_sh($0, text) }
    }

    private func readContent(into hostPath: String) throws {
        guard let found else { throw FlashlayerError(.fault, "nothing was inspected, and so nothing can be read") }
        session.emit(ApplianceEvent.output(source: "read", line: "every file and its digest"))
        let folder = hostPath.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
        let content = try ContentReader(guest: guest, facts: found, folder: folder).read()
        do {
            try JSONEncoder().encode(content).write(to: URL(filePath: hostPath))
        } catch {
            throw FlashlayerError(.cannotCreate, "what is in the guest cannot be written to \(hostPath): \(error)")
        }
    }

    private func growAtFirstBoot() throws {
        switch try FirstBootGrowth(guest: guest).answer(mounts) {
        case .steps(let command):
            try run(command)
        case .impossible(let reason):
            session.emit(ApplianceEvent.warning("the root file system will not grow at first boot: \(reason)"))
        }
    }

    private func relabel() throws {
        let command = RelabelSteps.byGuest
        let status = try GuestRun(guest: guest, console: console).run(command).status
        // A status that is none of its own is one of its shell's: something in it failed.
        let outcome = RelabelSteps.Outcome(rawValue: status) ?? .failed
        if let warning = try Relabel(guest: guest).finish(outcome) { session.emit(ApplianceEvent.warning(warning)) }
    }

    private func unmount() throws {
        do {
            try unsafe guest.check { unsafe guestfs_umount_all($0) }
            // Everything reaches the image file: QEMU writes its own tables when the guest flushes, whatever the cache mode.
            try unsafe guest.check { unsafe guestfs_sync($0) }
        } catch let failure as GuestfsHandle.Failure {
            throw FlashlayerError(
                .buildFailed,
                "the guest's file systems cannot be unmounted: \(failure.message)",
                advice: "something that a layer started still runs: let its script end it"
            )
        }
    }

    private func run(_ command: GuestCommand) throws {
        let outcome = try GuestRun(guest: guest, console: console).run(command)
        if !outcome.leftovers.isEmpty {
            session.emit(
                ApplianceEvent.warning(
                    "\(command.title) left running, and was ended: \(outcome.leftovers.joined(separator: ", "))"
                )
            )
        }
        guard outcome.status != 0 else { return }
        let status =
            outcome.status > 128 ? "was ended by signal \(outcome.status - 128)" : "ended with status \(outcome.status)"
        let lines = outcome.lastLines.suffix(10).map { "\n  \($0)" }.joined()
        throw FlashlayerError(
            command.failure,
            "\(command.title) \(status)\(lines.isEmpty ? ", and printed nothing" : ":\(lines)")"
        )
    }

    /// Bytes of the guest's root file system: nil when nothing is mounted.
    func space() -> (size: UInt64, free: UInt64)? {
        guard let numbers = unsafe guest.pointer({ unsafe guestfs_statvfs($0, "/") }) else { return nil }
        defer { unsafe guestfs_free_statvfs(numbers) }
        // SAFETY: the structure is ours until it is freed.
        let unit = unsafe UInt64(numbers.pointee.frsize)
        return unsafe (UInt64(numbers.pointee.blocks) * unit, UInt64(numbers.pointee.bavail) * unit)
    }
}
