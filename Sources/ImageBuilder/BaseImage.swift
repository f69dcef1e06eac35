// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Glibc
import Layers
import Model
import Programs
import Resolution
import Threads

/// Makes a base of a disk image that somebody gives. The file is copied, never written to.
struct BaseImage: Sendable {
    let image: String
    /// Of the file as stored.
    let sha256: String?
    /// Bytes; nil keeps the image's own.
    let size: UInt64?
    let work: WorkFolder
    let accelerator: Accelerator
    let log: BuildLog

    /// - Parameter entry: the folder that becomes the cache's entry.
    func make(into entry: String) async throws {
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
        try BaseEntry.write(facts, to: entry)
    }

    private func confirmDigest() async throws {
        guard let sha256 else { return }
        log.tell(.activity("checking the digest of \(image)"))
        let found = try await onOwnThread(named: "digest-base") { [image] in try Self.digest(of: image) }
        guard found.hex == sha256.lowercased() else {
            throw FlashlayerError(
                .digestMismatch,
                "the base image \(image) is not the one that the recipe names: its SHA-256 is \(found.hex)",
                advice: "get the right file, or put that digest into the recipe"
            )
        }
    }

    private static func digest(of path: String) throws -> Digest {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw FlashlayerError.system("open the base image \(path)", .current, code: .badImage)
        }
        defer { close(descriptor) }
        var hash = try SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                throw FlashlayerError.system("read the base image \(path)", .current, code: .badImage)
            }
            guard count > 0 else { return hash.finish() }
            unsafe buffer.withUnsafeBytes { unsafe hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
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
