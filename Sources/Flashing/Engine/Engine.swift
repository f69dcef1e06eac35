// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import DiskImages
import Glibc
import Model
import Programs
import Synchronization
import Threads

/// The worker that does all I/O of a job: opens the image, claims the devices, writes, reads back, commits; a thread and
/// a ring for each target.
///
/// It runs as a process of its own, since a device that stops answering takes whoever talks to it along.
package struct Engine: Sendable {
    /// The private subcommand by which the program starts itself as an engine.
    package static let subcommand = "_engine"

    /// How long it may take to clean up once nobody waits for it any more, in seconds.
    private static let lastWords: UInt32 = 10

    private let job: FlashJob
    private let session: WorkerSession

    /// Reads the job from standard input and does it.
    ///
    /// - Returns: the process's exit status: 0 whatever became of the targets, which is in their results.
    package static func run() async -> Int32 {
        let session = WorkerSession()
        do {
            let job = try session.receive(FlashJob.self)
            // A parent that has gone kills nobody: an engine that waits for a device ends by itself.
            session.whenCancelled { alarm(Self.lastWords) }
            await Engine(job: job, session: session).run()
            return 0
        } catch {
            let failure = FlashlayerError(wrapping: error)
            session.emit(TargetEvent(target: 0, .finished(FlashResult(failure))))
            return failure.code.exitStatus
        }
    }

    private func run() async {
        do {
            // The image may have to be hashed first: that takes as long as it takes, and says nothing about the targets.
            let pulse = Task {
                while !Task.isCancelled {
                    for index in job.targets.indices { emit(index, .alive) }
                    try await Task.sleep(for: .seconds(1))
                }
            }
            defer { pulse.cancel() }
            let opened = try await job.image.open()
            pulse.cancel()
            switch job.mode {
            case .write: try await write(opened)
            case .verify: try await verify(opened)
            }
        } catch {
            let failure = FlashResult(FlashlayerError(wrapping: error))
            for index in job.targets.indices { emit(index, .finished(failure)) }
        }
    }

    private func write(_ opened: OpenImage) async throws {
        guard let source = opened.source else {
            throw FlashlayerError(
                .badImage,
                "\(job.image.location) is a block map, which has digests and no content",
                advice: "name the image that it belongs to"
            )
        }
        if let source = source as? any RandomAccessSource {
            if job.table == .relocate { try ImageTableCheck(source).confirmWhole() }
            if job.grows { try GrowthCheck.run(source) }
        }
        let isAlone = job.targets.count == 1
        // A map with a digest for each chunk spares the hashing of what is written: the read-back proves it. Only where
        // the image can be asked again: a difference may be the image's fault.
        let mapped = opened.blockMap?.chunkDigests
        let isTrusted = job.verifies && source is any RandomAccessSource && !job.targets.contains(.null)
        let trusted = isTrusted ? mapped : nil
        // One target is compared with the image itself, which is read again; several would have it read for each.
        let rereads = job.verifies && isAlone && source is any RandomAccessSource && trusted == nil
        let isProof = job.targets.contains(.null) || (job.verifies && !rereads) || mapped != nil
        let hashes = isProof && trusted == nil
        let image = try self.image(source, opened.blockMap, needsDigests: hashes)
        let schedule = PassSchedule(image, targets: job.targets.count, timeout: job.timeout)
        let mapCheck = try MapCheck(of: image, schedule.observer)
        await onThreads { index in
            TargetRun(
                job: job,
                target: job.targets[index],
                image: image,
                schedule: schedule,
                trusted: trusted.map { ChunkDigestList($0) },
                mapCheck: mapCheck,
                monitor: monitor(index)
            ).write()
        }
        #if DEBUG
            // Only where tests look for it: it may have to wait for the source.
            if !session.isCancelled {
                let count = image.leakedChunks()
                let text = Array("\(count) chunks leaked\n".utf8)
                if count > 0 { _ = unsafe text.withUnsafeBytes { unsafe Glibc.write(2, $0.baseAddress, $0.count) } }
            }
        #endif
    }

    private func verify(_ opened: OpenImage) async throws {
        guard let source = opened.source else { return await verify(against: opened.blockMap) }
        let image = try self.image(source, opened.blockMap, needsDigests: true)
        let schedule = PassSchedule(image, targets: job.targets.count, timeout: job.timeout)
        let mapCheck = try MapCheck(of: image, schedule.observer)
        await onThreads { index in
            VerifyRun(
                job: job,
                target: job.targets[index],
                image: image,
                schedule: schedule,
                mapCheck: mapCheck,
                monitor: monitor(index)
            ).verify()
        }
    }

    private func verify(against map: BlockMap?) async {
        guard let map else { return }
        await onThreads { index in
            MapVerifyRun(job: job, target: job.targets[index], map: map, monitor: monitor(index)).verify()
        }
    }

    /// The image, of which enough was read to know that it can be: what fails here fails before anything is claimed.
    private func image(_ source: any ImageSource, _ map: BlockMap?, needsDigests: Bool) throws -> JobImage {
        let image = try JobImage(source, map: map, targetCount: job.targets.count, needsDigests: needsDigests)
        for index in job.targets.indices { emit(index, .phase(.probe)) }
        try image.readStart()
        return image
    }

    /// Does the work on each target, on a thread of its own; returns when all of them are done.
    private func onThreads(_ work: @escaping @Sendable (_ target: Int) -> Void) async {
        await withTaskGroup { group in
            for index in job.targets.indices {
                group.addTask { try? await onOwnThread(named: "target-\(index)") { work(index) } }
            }
        }
    }

    private func emit(_ target: Int, _ event: FlashEvent) {
        session.emit(TargetEvent(target: target, event))
    }

    private func monitor(_ target: Int) -> JobMonitor {
        JobMonitor(
            emit: { [session] in session.emit(TargetEvent(target: target, $0)) },
            isCancelled: { [session] in session.isCancelled }
        )
    }
}
