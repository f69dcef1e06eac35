// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import CLinux
import Digests
import DiskImages
import Glibc
import Model
import PartitionTables

/// Compares one target with the image, without writing: no claim, so that a mounted disk can be checked as well.
struct VerifyRun: Sendable {
    let job: FlashJob
    let target: FlashJob.Target
    let image: JobImage
    let schedule: PassSchedule
    let mapCheck: MapCheck?
    let monitor: JobMonitor

    func verify() {
        var result = FlashResult(.pass)
        var isReady = false
        let start = ContinuousClock.now
        do {
            guard case .device(let identity) = target else {
                throw FlashlayerError(.usage, "null: keeps nothing that could be verified")
            }
            try verify(identity, &result, &isReady)
        } catch {
            result.failed(FlashlayerError(wrapping: error))
        }
        if !isReady { schedule.leave() }
        result.verifySeconds = start.elapsed
        monitor.emit(.finished(result))
    }

    private func verify(_ identity: DeviceIdentity, _ result: inout FlashResult, _ isReady: inout Bool) throws {
        if let size = image.size, size > identity.size {
            throw FlashlayerError(
                .verifyFailed,
                "\(identity.path) is smaller than the image: \(identity.size) of \(size) bytes"
            )
        }
        let reading = try ReadingTarget(identity, job, arenas: [image.foundPool.arena], monitor)
        let target = reading.open
        let pass = VerifyPass(target: target, buffers: image.share(), workers: image.workers, ends: .apart(nil))
        isReady = true
        let wait = monitor.whileWaiting()
        let feed = try schedule.firstFeed(whileWaiting: wait)
        let outcome = try pass.run(
            .image(feed, imageSize: image.size) { try schedule.laterFeed(from: $0, whileWaiting: wait) }
        )
        result.imageSize = outcome.imageSize
        result.bytesVerified = outcome.bytesVerified
        guard let ends = outcome.ends else { throw FlashlayerError(.fault, "an image without an end") }
        let expected = try targetEnds(of: ends, target)
        let ending = EndsPass(target: target)
        let wrong = try outcome.mismatches + ending.differences(expected, in: [.image, .table])
        let count = Set(wrong.map(\.chunk)).count
        if var first = wrong.min(by: { $0.offset < $1.offset }) {
            try image.source.confirmUnchanged()
            if outcome.mismatches.isEmpty, try ending.agreesBesideTable(expected) { first.kind = .table }
            throw FlashlayerError(
                .verifyFailed,
                first.sentence(identity.path, count: count),
                advice: try advice(target, expected, isTableAlone: first.kind == .table),
                offset: first.offset
            )
        }
        // Behind the image somebody may have written since.
        if let first = try ending.differences(expected, in: [.cleared]).first {
            monitor.emit(.warning("something stands behind the image, from byte \(first.offset) on"))
        }
        result.edits = try expected.edits()
        try mapCheck?.wait(whileWaiting: wait)
        try image.holdToMap(imageSize: outcome.imageSize)
        result.imageDigest = try image.imageDigest(size: outcome.imageSize)
    }
}

extension VerifyRun {
    private func targetEnds(of image: ImageEnds, _ target: OpenTarget) throws -> TargetEnds {
        guard job.table == .relocate else { return TargetEnds(image) }
        return try TargetEnds(image, size: target.size, sectorSize: target.sectorSize)
    }

    /// What may have become of a target that differs from its image.
    private func advice(_ target: OpenTarget, _ expected: TargetEnds, isTableAlone: Bool) throws -> String? {
        if expected.isEdited, try EndsPass(target: target).differences(TargetEnds(expected.image)).isEmpty {
            return "its partition table is the image's own, as --gpt keep or another program writes it: "
                + "compare with --gpt keep"
        }
        let head = try target.read(0..<min(ImageEnds.length, target.size))
        guard let found = PartitionList(head: head, sectorSize: target.sectorSize),
            let wanted = PartitionList(head: expected.head, sectorSize: target.sectorSize), found != wanted
        else { return nil }
        // Another image has other names as well.
        if found.names != wanted.names, !isTableAlone { return nil }
        return found.names != wanted.names
            ? "its partition table has other names: a disk written with --new-guids is not the image any more"
            : "its partition table has other partitions: a disk that was grown (--grow, or by its system at the first "
                + "boot) is not the image any more"
    }
}

/// A target that is only read.
final class ReadingTarget {
    let open: OpenTarget

    init(_ identity: DeviceIdentity, _ job: FlashJob, arenas: [BufferArena], _ monitor: JobMonitor) throws {
        let descriptor = unsafe flashlayer_open(identity.path, O_RDONLY | O_CLOEXEC | flashlayer_o_direct, 0)
        guard descriptor >= 0 else {
            let failure = Errno.current
            let code: ErrorCode = failure.value == EACCES || failure.value == EPERM ? .notPermitted : .ioError
            throw FlashlayerError.system("open \(identity.path) for reading", failure, code: code)
        }
        var sectorSize: Int32 = 512
        _ = unsafe flashlayer_blksszget(descriptor, &sectorSize)
        let limits = QueueLimits(
            device: identity.deviceNumber,
            timeout: job.timeout,
            targets: job.targets.count
        )
        let backend = try TransferQueue.backend(arenas: arenas)
        open = OpenTarget(
            path: identity.path,
            descriptor: descriptor,
            size: identity.size,
            sectorSize: UInt64(sectorSize),
            queue: TransferQueue(backend, descriptor: descriptor, path: identity.path, limits: limits),
            monitor: monitor
        )
    }

    deinit {
        // Closing a device that hangs waits for it.
        if !open.queue.isHung { close(open.descriptor) }
    }
}
