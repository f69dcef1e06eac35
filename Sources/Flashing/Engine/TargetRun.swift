// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Digests
import DiskImages
import Model

/// The course of one target, from the claim to the committed table. All of it happens on one thread.
struct TargetRun: Sendable {
    let job: FlashJob
    let target: FlashJob.Target
    let image: JobImage
    let schedule: PassSchedule
    /// From a block map: what the target is held to without hashing the image.
    let trusted: ChunkDigestList?
    let mapCheck: MapCheck?
    let monitor: JobMonitor

    /// How far it is: what has to be undone or told when it ends here.
    private struct Course {
        var result = FlashResult(.pass)
        /// It takes part in the reading of the image: the others need not wait for it.
        var isReady = false
        /// The kernel has no nodes for the target's partitions any more.
        var hasRemovedNodes = false
        /// The image's ends were written, or may have been.
        var hasCommitted = false
        /// Of an image that is a stream.
        var streamed: ImageEnds?
    }

    func write() {
        var course = Course()
        do {
            switch target {
            case .null: try discard(&course)
            case .device(let identity): try write(to: identity, &course)
            }
        } catch {
            course.result.failed(FlashlayerError(wrapping: error))
        }
        finish(course)
    }

    private func finish(_ course: Course) {
        if !course.isReady { schedule.leave() }
        monitor.emit(.finished(course.result))
    }

    private func firstFeed(_ course: inout Course, looksInside: Bool = false) throws -> Feed {
        course.isReady = true
        return try schedule.firstFeed(looksInside: looksInside, whileWaiting: monitor.whileWaiting())
    }

    private func laterFeed(from index: Int, looksInside: Bool = false) throws -> Feed {
        try schedule.laterFeed(from: index, looksInside: looksInside, whileWaiting: monitor.whileWaiting())
    }

    /// The image is what its block map says, as far as anybody read it.
    private func holdToMap(imageSize: UInt64) throws {
        try mapCheck?.wait(whileWaiting: monitor.whileWaiting())
        try image.holdToMap(imageSize: imageSize)
    }

    // MARK: - Nothing but reading

    private func discard(_ course: inout Course) throws {
        let start = ContinuousClock.now
        var feed = try firstFeed(&course)
        defer { feed.close() }
        var meter = ProgressMeter(.write, total: image.size, monitor)
        while true {
            try monitor.checkCancelled()
            switch try feed.take(upTo: .milliseconds(100)) {
            case .nothingYet: meter.beat()
            case .detached(let index): feed = try laterFeed(from: index)
            case .piece(let piece):
                course.result.bytesWritten += piece.byteCount
                meter.add(piece.byteCount)
            case .end(let ends, let size):
                meter.finish()
                course.result.imageSize = size
                if image.seekable == nil, job.table == .relocate {
                    try ImageTableCheck(ends, of: image.source.facts.path).confirmWhole()
                }
                try holdToMap(imageSize: size)
                course.result.imageDigest = try image.imageDigest(size: size)
                course.result.writeSeconds = start.elapsed
                return
            }
        }
    }

    // MARK: - Writing to a device

    private func write(to identity: DeviceIdentity, _ course: inout Course) throws {
        let claim = try Claim(identity, whileWaiting: monitor.whileWaiting())
        if let size = image.size, size > claim.size {
            throw FlashlayerError(
                .imageTooLarge,
                "the image needs \(size) bytes, \(identity.path) has \(claim.size)"
            )
        }
        let sectorSize = UInt64(claim.logicalSectorSize)
        guard claim.size % sectorSize == 0, sectorSize <= UInt64(AlignedBuffer.alignment) else {
            throw FlashlayerError(
                .sectorSize,
                "\(identity.path) has \(claim.size) bytes in sectors of \(sectorSize), which no image is made for"
            )
        }
        // A stream tells what its table was made for only to who reads it.
        try ImageTableCheck.confirm(image.source.facts.tableSectorSize, sectorSize: sectorSize, of: identity.path)
        let target = try open(claim)
        do {
            try write(to: target, claim, &course)
            course.result.holdsImage = true
            if job.grows { try grow(target, course.streamed, &course.result) }
        } catch {
            let failure = FlashlayerError(wrapping: error)
            if target.queue.isHung {
                image.keepsMemory()
                target.queue.abandon()
                // Closing the device may wait for it as well: the last word is said before.
                course.result.failed(failure)
                finish(course)
                course.isReady = true
                throw failure
            }
            let isOurs = isStillOurs(target, claim, after: failure)
            if course.hasRemovedNodes, isOurs {
                // From the commit on there may be a table; a target that failed keeps none. The kernel is told what is
                // there: the old partitions where nothing was written yet.
                if course.hasCommitted, !course.result.holdsImage {
                    _ = try? EndsPass(target: target).wipe(imageSize: nil)
                }
                _ = claim.settle()
            }
            throw failure
        }
        monitor.emit(.phase(.settle))
        for note in claim.settle() { monitor.emit(.warning(note)) }
    }

    private func write(
        to target: OpenTarget,
        _ claim: borrowing Claim,
        _ course: inout Course
    ) throws {
        try claim.confirm()
        WrittenMark.leave(on: claim.identity)
        target.dropCache()
        // Of a stream they are known at its end.
        let known = try image.seekable.map { try targetEnds(of: $0.ends(), target) }
        let ends = EndsPass(
            target: target,
            clearsBehind: job.table == .relocate,
            between: known.map { $0.image.ranges.dropFirst().dropLast() }.map(Array.init) ?? []
        )
        let plan = try rewritePlan(target)
        // The last moment at which the target is as it was, unless it is compared first.
        try monitor.checkCancelled()
        course.hasRemovedNodes = true
        try claim.removePartitionNodes(whileWaiting: monitor.whileWaiting())
        target.dropCache()
        if !plan.comparesAnything {
            if isSizeDoubtful {
                // Both ends before the stamps, so that an old table never stands over them, and after them.
                course.result.bytesWritten += try ends.wipe(imageSize: nil)
                // Where nobody writes afterwards, the stamps are taken away.
                let covered = job.holes == .skip ? 0 : image.size ?? 0
                course.result.bytesWritten += try CapacityProbe(target: target).run(covered: covered)
            }
            monitor.emit(.phase(.zero))
            course.result.bytesWritten += try ends.wipe(imageSize: image.size)
        } else if job.targets.count == 1, trusted == nil {
            // The device sets the pace of a comparison, and the image need not be read again for its digest.
            image.startHashing()
        }

        let looksInside = plan.comparesAnything || !target.queue.takesPlaces
        let feed = try firstFeed(&course, looksInside: looksInside)
        let start = ContinuousClock.now
        var pass = WritePass(
            target: target,
            plan: plan,
            holes: job.holes,
            buffers: image.share(),
            imageSize: image.size,
            isOpen: !plan.comparesAnything,
            open: { [size = image.size] in try ends.wipe(imageSize: size) }
        )
        let written: (ends: ImageEnds, imageSize: UInt64)
        do {
            written = try pass.run(feed) { try laterFeed(from: $0, looksInside: looksInside) }
            course.result.bytesWritten += pass.bytesWritten
        } catch {
            course.result.bytesWritten += pass.bytesWritten
            course.result.writeSeconds = start.elapsed
            throw error
        }
        course.result.imageSize = written.imageSize
        if image.seekable == nil {
            course.streamed = written.ends
            let check = ImageTableCheck(written.ends, of: image.source.facts.path)
            try check.confirm(sectorSize: target.sectorSize, of: target.path)
            if job.table == .relocate { try check.confirmWhole() }
        }
        let final = try known ?? targetEnds(of: written.ends, target)
        if pass.isUntouched {
            if try ends.differences(final).isEmpty {
                course.result.edits = try final.edits()
                return try unchanged(target, written, start, &course.result)
            }
            course.result.bytesWritten += try ends.wipe(imageSize: written.imageSize)
        }
        if image.size == nil { course.result.bytesWritten += try ends.wipeImageTail(imageSize: written.imageSize) }
        monitor.emit(.phase(.flush))
        try target.flush(after: course.result.bytesWritten)
        course.result.writeSeconds = start.elapsed
        try holdToMap(imageSize: written.imageSize)

        if job.verifies {
            try verify(target, claim, written, &course.result)
        }
        try monitor.checkCancelled()
        // The read-back took minutes: the table goes onto no other medium than the one that was proved.
        try claim.confirm()
        course.hasCommitted = true
        course.result.bytesWritten += try ends.commit(final, verifies: job.verifies, repairs: job.repairs)
        course.result.edits = try final.edits()
    }

    /// Of what was proved. What fails here leaves the image where it is.
    private func grow(_ target: OpenTarget, _ streamed: ImageEnds?, _ result: inout FlashResult) throws {
        try monitor.checkCancelled()
        do {
            result.growth = try GrowthPass(target: target, streamed: streamed).run()
            guard result.growth != nil else {
                return monitor.emit(.warning("nothing grew: the last partition ends with the disk already"))
            }
            if result.result == .unchanged { result.result = .pass }
            result.edits = try result.edits.map { try $0.read(from: target) }
        } catch let error as FlashlayerError {
            let isKnown = [.cannotGrow, .unavailable, .growFailed].contains(error.code)
            throw FlashlayerError(
                isKnown ? error.code : .growFailed,
                "\(target.path) holds the image, but it did not grow: \(error.message)",
                advice: error.advice,
                offset: error.offset
            )
        }
    }

    /// What is written last, with what this target needs; says what is wrong with the image's table.
    private func targetEnds(of image: ImageEnds, _ target: OpenTarget) throws -> TargetEnds {
        guard job.table == .relocate else {
            let fault = ImageTableCheck(image, of: self.image.source.facts.path).fault
            if let fault { monitor.emit(.warning("\(fault): it is written as it is")) }
            return TargetEnds(image)
        }
        let ends = try TargetEnds(
            image,
            size: target.size,
            sectorSize: target.sectorSize,
            newGUIDs: job.newGUIDs
        )
        for note in ends.notes { monitor.emit(.warning(note)) }
        return ends
    }

    private func rewritePlan(_ target: OpenTarget) throws -> RewritePlan {
        switch job.rewrite {
        case .full: return .writeAll
        case .onlyChanged: return .compareAll
        case .sampled:
            guard let source = image.seekable else { return .writeAll }
            return try Sampler(source: source, target: target).plan()
        }
    }

    private var isSizeDoubtful: Bool {
        guard case .device(let identity) = target else { return false }
        return ClaimedSize.isDoubtful(of: identity)
    }

    /// The comparison has read every byte from the medium already. Where a block map spared the hashing of the image, it
    /// is held to the map now.
    private func unchanged(
        _ target: OpenTarget,
        _ written: (ends: ImageEnds, imageSize: UInt64),
        _ start: ContinuousClock.Instant,
        _ result: inout FlashResult
    ) throws {
        try holdToMap(imageSize: written.imageSize)
        result.result = .unchanged
        result.bytesVerified = written.imageSize - skippedBytes
        result.verifySeconds = start.elapsed
        if let trusted {
            let pass = verifyPass(target, ends: .apart(written.ends))
            let outcome = try pass.run(.digests(trusted, imageSize: written.imageSize))
            if let first = outcome.mismatches.first { throw image.mismatch(at: first.offset) }
            result.imageDigest = try trusted.imageDigest
        } else {
            result.imageDigest = try image.imageDigest(size: written.imageSize)
        }
    }

    /// Of holes that keep what the target has there.
    private var skippedBytes: UInt64 {
        guard job.holes == .skip, let source = image.seekable else { return 0 }
        let hasData = source.chunksWithData
        return hasData.indices.reduce(0) { $0 + (hasData[$1] ? 0 : UInt64(source.length(ofChunk: $1))) }
    }

    // MARK: - After a failure

    /// Whether a target that failed may be written to once more. One that hangs would take us along, and one whose
    /// medium was exchanged is not the one that was chosen.
    private func isStillOurs(_ target: OpenTarget, _ claim: borrowing Claim, after error: FlashlayerError) -> Bool {
        target.queue.reset()
        if target.queue.isHung { return false }
        switch error.code {
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

    private func open(_ claim: borrowing Claim) throws -> OpenTarget {
        let descriptor = claim.descriptor
        let limits = QueueLimits(
            device: claim.identity.deviceNumber,
            timeout: job.timeout,
            targets: job.targets.count
        )
        let backend = try TransferQueue.backend(arenas: image.arenas(reading: job.verifies))
        return OpenTarget(
            path: target.path,
            descriptor: descriptor,
            size: claim.size,
            sectorSize: UInt64(claim.logicalSectorSize),
            queue: TransferQueue(backend, descriptor: descriptor, path: target.path, limits: limits),
            monitor: monitor
        )
    }
}

extension FlashResult {
    mutating func failed(_ error: FlashlayerError) {
        result = FlashResult(error).result
        // What was written to is not as it was: that is no refusal, whatever the reason.
        if result == .refused, bytesWritten > 0 { result = .fail }
        self.error = error
    }
}

extension FlashResult.Edit {
    /// What a disk that grew has there.
    fileprivate func read(from target: OpenTarget) throws -> Self {
        Self(
            offset: offset,
            length: length,
            sha256: try SHA256.digest(of: target.read(offset..<(offset + length)))
        )
    }
}

extension ContinuousClock.Instant {
    /// Seconds since then.
    var elapsed: Double {
        let duration = (ContinuousClock.now - self).components
        return Double(duration.seconds) + Double(duration.attoseconds) / 1e18
    }
}
