// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import Programs
import Resolution

/// Makes a base of a disk image that somebody gives. The file is copied, never written to.
struct BaseImage: Sendable {
    let image: String
    /// Of the file as stored.
    let sha256: String?
    /// Bytes; nil keeps the image's own.
    let size: UInt64?
    let cache: Cache
    let work: WorkFolder
    let accelerator: Accelerator
    let log: BuildLog

    /// - Parameter entry: the folder that becomes the cache's entry.
    /// - Returns: what was found on the disk.
    func make(into entry: String) async throws -> GuestFacts {
        let format = try GuestDisk.format(of: image)
        try await confirmDigest()
        let disk = "\(entry)/disk.qcow2"
        log.tell(.activity("copying \(image)"))
        try await SpaceWatch(path: entry).during {
            _ = try await QEMU.image().run(
                ["convert", "-q", "-W", "-m", "8", "-f", format, "-O", "qcow2", image, disk],
                failure: .badImage
            )
        }
        let grows = try await resize(disk)
        let temporary = work.file("appliance")
        try Cache.makeFolder(temporary)
        log.tell(.activity("looking into it"))
        var steps: [GuestStep] = [.inspect]
        if grows { steps.append(.growRoot) }
        steps += [.mountFound] + PackageState.keep(in: entry) + [.unmount]
        let job = ApplianceJob(
            drives: [.init(path: disk, format: "qcow2", readOnly: false)],
            accelerator: accelerator,
            network: false,
            temporaryFolder: temporary,
            stages: [.init(.base, steps)]
        )
        guard let facts = try await ApplianceRun(job: job, log: log).run() else {
            throw FlashlayerError(.fault, "the builder did not say what it found on the disk")
        }
        log.tell(.activity("it holds \(facts.product)"))
        return facts
    }

    /// The file may have been replaced since the plan was made.
    private func confirmDigest() async throws {
        guard let sha256 else { return }
        let found = try await FileDigest(cache: cache).sha256(of: image)
        guard found == sha256.lowercased() else {
            throw FlashlayerError(
                .digestMismatch,
                "the base image \(image) was changed: its SHA-256 is \(found), and the build began with \(sha256)",
                advice: "leave it alone meanwhile, and build again"
            )
        }
    }

    /// - Returns: whether the disk is larger now.
    private func resize(_ disk: String) async throws -> Bool {
        guard let size else { return false }
        let present = try await ImageInfo.of(disk, format: "qcow2").virtualSize
        guard size >= present else {
            throw FlashlayerError(
                .badRecipe,
                "[image] size is \(ByteSize.describe(size)), and the base image is \(ByteSize.describe(present)): "
                    + "a disk cannot be made smaller",
                advice: "say at least \(present), or leave it out"
            )
        }
        guard size > present else { return false }
        try await QEMU.image().run(["resize", "-q", "-f", "qcow2", disk, "\(size.roundedUp(to: ByteSize.mebibyte))"])
        return true
    }
}
