// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import CLinux
import Digests
import DiskImages
import Glibc
import Model
import Programs
import Threads

/// The worker that does all I/O of one target: opens the image, claims the device, writes, reads back, commits.
///
/// It runs as a process of its own, since a device that stops answering takes whoever talks to it along.
package struct Engine: Sendable {
    /// The private subcommand by which the program starts itself as an engine.
    package static let subcommand = "_engine"

    private let job: FlashJob
    private let session: WorkerSession

    /// Reads the job from standard input and does it.
    ///
    /// - Returns: the process's exit status.
    package static func run() async -> Int32 {
        let session = WorkerSession()
        do {
            let job = try session.receive(FlashJob.self)
            let result = await Engine(job: job, session: session).result()
            session.emit(TargetEvent(target: 0, .finished(result)))
            return result.error?.code.exitStatus ?? 0
        } catch {
            let failure = FlashlayerError(wrapping: error)
            session.emit(TargetEvent(target: 0, .finished(FlashResult(failure))))
            return failure.code.exitStatus
        }
    }

    private var monitor: JobMonitor {
        JobMonitor(emit: { [session] in session.emit(TargetEvent(target: 0, $0)) }, isCancelled: { [session] in session.isCancelled })
    }

    private func result() async -> FlashResult {
        do {
            guard let source = try await job.image.open().source as? any RandomAccessSource else {
                throw FlashlayerError(.unavailable, "streams are not written yet")
            }
            guard job.targets.count == 1, case .device(let identity) = job.targets[0] else {
                throw FlashlayerError(.unavailable, "only one device at a time is written yet")
            }
            return try await onOwnThread(named: "target") { [self] in
                switch job.mode {
                case .write: write(source, identity)
                case .verify: verify(source, identity)
                }
            }
        } catch {
            return FlashResult(FlashlayerError(wrapping: error))
        }
    }

    // MARK: - Writing

    private func write(_ source: any RandomAccessSource, _ identity: DeviceIdentity) -> FlashResult {
        var result = FlashResult(.pass)
        do {
            // The first bytes are read before anything is claimed: a source that cannot be read costs no disk.
            monitor.emit(.phase(.probe))
            try ImageFormat.readStart(of: source)
            let claim = try Claim(identity)
            do {
                try write(source, to: claim, into: &result)
            } catch {
                // The kernel is told that there is no table any more; the first error is the one that counts.
                if isStillOurs(claim, after: error) { _ = claim.settle() }
                throw error
            }
            monitor.emit(.phase(.settle))
            for note in claim.settle() { monitor.emit(.warning(note)) }
        } catch {
            result.failed(FlashlayerError(wrapping: error))
        }
        return result
    }

    private func write(_ source: any RandomAccessSource, to claim: borrowing Claim, into result: inout FlashResult) throws {
        guard source.size <= claim.size else {
            throw FlashlayerError(
                .imageTooLarge,
                "the image needs \(source.size) bytes, \(claim.identity.path) has \(claim.size)"
            )
        }
        let sectorSize = UInt64(claim.logicalSectorSize)
        guard claim.size % sectorSize == 0, sectorSize <= UInt64(AlignedBuffer.alignment) else {
            throw FlashlayerError(
                .sectorSize,
                "\(claim.identity.path) has \(claim.size) bytes in sectors of \(sectorSize), which no image is made for"
            )
        }
        let target = open(claim)
        let limits = self.limits(for: claim)
        let writing = WritePass(source: source, target: target, limits: limits, monitor: monitor)
        let commit = CommitPass(target: target, limits: limits, monitor: monitor)
        let start = ContinuousClock.now

        try claim.confirm()
        // The last moment at which the target is as it was.
        try monitor.checkCancelled()
        try claim.removePartitionNodes()
        target.dropCache()
        do {
            result.bytesWritten += try writing.wipeEnds()
            try commit.flush()
            let ends: WithheldEnds
            do {
                ends = try writing.run(counting: &result.bytesWritten)
            } catch {
                result.writeSeconds = start.elapsed
                throw error
            }
            monitor.emit(.phase(.flush))
            try commit.flush()
            result.writeSeconds = start.elapsed

            if job.verifies {
                let verifyStart = ContinuousClock.now
                try claim.confirm()
                let verified = try VerifyPass(source: source, target: target, limits: limits, monitor: monitor)
                    .run(ends: ends)
                result.bytesVerified = verified.bytesVerified
                result.imageDigest = try ImageDigest(chunks: verified.digests)
                result.verifySeconds = verifyStart.elapsed
            }
            try monitor.checkCancelled()
            // The read-back took minutes: the table goes onto no other medium than the one that was proved.
            try claim.confirm()
            result.bytesWritten += try commit.run(ends, verifies: job.verifies)
        } catch {
            // From the commit on there may be a table; a target that failed keeps none.
            if isStillOurs(claim, after: error) {
                _ = try? writing.wipeEnds()
                _ = try? commit.flush()
            }
            throw error
        }
    }

    /// Whether a target that failed may be written to once more. One that hangs would take us along, and one whose
    /// medium was exchanged is not the one that was chosen.
    private func isStillOurs(_ claim: borrowing Claim, after error: any Error) -> Bool {
        switch FlashlayerError(wrapping: error).code {
        case .timeout, .deviceGone, .changed: return false
        default: break
        }
        do {
            try claim.confirm()
            return true
        } catch {
            return false
        }
    }

    // MARK: - Verifying alone

    private func verify(_ source: any RandomAccessSource, _ identity: DeviceIdentity) -> FlashResult {
        var result = FlashResult(.pass)
        let start = ContinuousClock.now
        monitor.emit(.phase(.probe))
        let limits = TransferQueue.Limits(RequestQueue(of: identity.deviceNumber), timeout: job.timeout)
        do {
            let reading = try ReadingTarget(identity)
            guard source.size <= identity.size else {
                throw FlashlayerError(
                    .verifyFailed,
                    "\(identity.path) is smaller than the image: \(identity.size) of \(source.size) bytes"
                )
            }
            let verified = try VerifyPass(source: source, target: reading.open, limits: limits, monitor: monitor)
                .run(ends: nil)
            result.bytesVerified = verified.bytesVerified
            result.imageDigest = try ImageDigest(chunks: verified.digests)
        } catch {
            result.failed(FlashlayerError(wrapping: error))
        }
        result.verifySeconds = start.elapsed
        return result
    }

    private func limits(for claim: borrowing Claim) -> TransferQueue.Limits {
        TransferQueue.Limits(RequestQueue(of: claim.identity.deviceNumber), timeout: job.timeout)
    }

    private func open(_ claim: borrowing Claim) -> OpenTarget {
        let descriptor = claim.descriptor
        return OpenTarget(
            path: claim.identity.path,
            descriptor: descriptor,
            size: claim.size,
            sectorSize: UInt64(claim.logicalSectorSize)
        )
    }
}

/// A target that is only read: no claim, so that a mounted disk can be checked as well.
private final class ReadingTarget: Sendable {
    let open: OpenTarget

    init(_ identity: DeviceIdentity) throws {
        let descriptor = unsafe flashlayer_open(identity.path, O_RDONLY | O_CLOEXEC | flashlayer_o_direct, 0)
        guard descriptor >= 0 else {
            let failure = Errno.current
            let code: ErrorCode = failure.value == EACCES || failure.value == EPERM ? .notPermitted : .ioError
            throw FlashlayerError.system("open \(identity.path) for reading", failure, code: code)
        }
        var sectorSize: Int32 = 512
        _ = unsafe flashlayer_blksszget(descriptor, &sectorSize)
        open = OpenTarget(
            path: identity.path,
            descriptor: descriptor,
            size: identity.size,
            sectorSize: UInt64(sectorSize)
        )
    }

    deinit {
        close(open.descriptor)
    }
}

extension FlashResult {
    fileprivate mutating func failed(_ error: FlashlayerError) {
        result = FlashResult(error).result
        // What was written to is not as it was: that is no refusal, whatever the reason.
        if result == .refused, bytesWritten > 0 { result = .fail }
        self.error = error
    }
}

extension ContinuousClock.Instant {
    /// Seconds since then.
    fileprivate var elapsed: Double {
        let duration = (ContinuousClock.now - self).components
        return Double(duration.seconds) + Double(duration.attoseconds) / 1e18
    }
}
