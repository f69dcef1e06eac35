// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Model
import PartitionTables

/// Holds one target to the digests of a block map, without the image.
struct MapVerifyRun: Sendable {
    /// How many chunks are read ahead of the digests.
    private static let buffers = 6
    /// A map of another make may have a range as long as the image. Bytes.
    private static let longestFirst: UInt64 = 256 << 20

    let job: FlashJob
    let target: FlashJob.Target
    let map: BlockMap
    let monitor: JobMonitor

    func verify() {
        var result = FlashResult(.pass)
        let start = ContinuousClock.now
        do {
            try verify(&result)
        } catch {
            result.failed(FlashlayerError(wrapping: error))
        }
        result.verifySeconds = start.elapsed
        monitor.emit(.finished(result))
    }

    private func verify(_ result: inout FlashResult) throws {
        guard case .device(let identity) = target else {
            throw FlashlayerError(.usage, "null: keeps nothing that could be verified")
        }
        guard map.hasDigests else {
            throw FlashlayerError(.badImage, "the block map has no digests that could be compared")
        }
        guard map.imageSize <= identity.size else {
            throw FlashlayerError(
                .verifyFailed,
                "\(identity.path) is smaller than the image: \(identity.size) of \(map.imageSize) bytes"
            )
        }
        let pool = ChunkPool(chunks: Self.buffers)
        let reading = try ReadingTarget(identity, job, arenas: [pool.arena], monitor)
        result.imageSize = map.imageSize
        let (table, isEdited) = try restoredTable(reading.open)
        do {
            try verify(reading.open, table, pool, &result)
        } catch let error as FlashlayerError where error.code == .verifyFailed && error.advice == nil {
            throw FlashlayerError(
                error.code,
                error.message,
                advice: advice(identity.path, error.offset ?? 0, table, isEdited: isEdited),
                offset: error.offset
            )
        }
    }

    /// A difference where the table was edited may be none of the disk: the map has digests of the unedited image alone.
    private func advice(_ path: String, _ offset: UInt64, _ table: RestoredTable?, isEdited: Bool) -> String? {
        guard job.table == .relocate else { return nil }
        let command = "flashlayer verify IMAGE \(path)"
        if table == nil, offset < ByteSize.chunk {
            return isEdited
                ? "the map alone cannot prove this disk, whose partition table was edited for its size (or grown, or "
                    + "renamed): take the image itself: \(command)"
                : "a disk whose partition table is not as flashlayer writes it (grown, renamed) is told by the "
                    + "image itself: \(command)"
        }
        if isEdited, offset + ByteSize.chunk + ByteSize.mebibyte > map.imageSize {
            return
                "if nothing else differs, the map alone cannot prove this disk, whose partition table was edited for "
                + "its size: take the image itself: \(command)"
        }
        return nil
    }

    private func verify(
        _ target: OpenTarget,
        _ table: RestoredTable?,
        _ pool: ChunkPool,
        _ result: inout FlashResult
    ) throws {
        if let digests = map.chunkDigests {
            let pass = VerifyPass(
                target: target,
                buffers: ChunkShare(of: pool, targets: 1),
                workers: try WorkerThreads(),
                ends: table.map { .restored($0) } ?? .whole
            )
            let outcome = try pass.run(.digests(ChunkDigestList(digests), imageSize: map.imageSize))
            result.bytesVerified = outcome.bytesVerified
            if let first = outcome.mismatches.first {
                throw FlashlayerError(
                    .verifyFailed,
                    first.sentence(target.path, count: outcome.mismatches.count),
                    offset: first.offset
                )
            }
            result.imageDigest = try ImageDigest(chunks: digests)
        } else {
            result.bytesVerified = try checkRanges(target, table)
        }
    }

    /// What was edited of the image's table is turned back, since a map has the digests of the image as it is.
    private func restoredTable(_ target: OpenTarget) throws -> (table: RestoredTable?, isEdited: Bool) {
        guard job.table == .relocate else { return (nil, false) }
        let first: (length: UInt64, digest: Digest)?
        if let digest = map.chunkDigests?.first {
            first = (min(ByteSize.chunk, map.imageSize), digest)
        } else {
            first = map.ranges.first.flatMap { range in
                let bytes = map.bytes(of: range)
                guard bytes.lowerBound == 0, let digest = range.digest else { return nil }
                return (UInt64(bytes.count), digest)
            }
        }
        guard let first, first.length <= Self.longestFirst else { return (nil, false) }
        let digests: [(range: Range<UInt64>, digest: Digest)]
        if let chunks = map.chunkDigests {
            digests = chunks.enumerated().map { index, digest in
                let start = UInt64(index) * ByteSize.chunk
                return (start..<min(map.imageSize, start + ByteSize.chunk), digest)
            }
        } else {
            digests = map.ranges.compactMap { range in range.digest.map { (map.bytes(of: range), $0) } }
        }
        // The backup of a GPT stands within the last MiB.
        let end = map.imageSize - min(map.imageSize, ByteSize.mebibyte)
        return try RestoredTable.find(
            on: target,
            imageSize: map.imageSize,
            first: first.length,
            digest: first.digest,
            last: digests.filter { $0.range.upperBound > end && $0.range.count <= Int(Self.longestFirst) }
        )
    }

    /// A map of another make has ranges of any length: each is hashed in order.
    ///
    /// - Returns: bytes that had a digest.
    private func checkRanges(_ target: OpenTarget, _ table: RestoredTable?) throws -> UInt64 {
        target.dropCache()
        let ranges = map.ranges.filter { $0.digest != nil }.map { map.bytes(of: $0) }
        let total = ranges.reduce(0) { $0 + UInt64($1.count) }
        var meter = ProgressMeter(.verify, total: total, monitor)
        var check = RangeCheck(map, name: target.path, code: .verifyFailed)
        let buffer = AlignedBuffer(count: Int(ByteSize.chunk))
        for range in ranges {
            // Where the map's blocks are smaller than a sector, a few bytes more are read.
            var position = range.lowerBound
            while position < range.upperBound {
                try monitor.checkCancelled()
                let start = position.roundedDown(to: target.sectorSize)
                let end = min(range.upperBound, start + ByteSize.chunk)
                try target.queue.add(
                    Transfer(.read, buffer, count: target.padded(Int(end - start)), offset: start)
                )
                try target.queue.finish()
                let whole = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<Int(end - start)])
                if let wrong = unsafe table?.put(into: whole, at: start) {
                    throw FlashlayerError(
                        .verifyFailed,
                        "\(target.path) has something left of an old partition table from byte \(start + UInt64(wrong)) on",
                        offset: start + UInt64(wrong)
                    )
                }
                let skip = Int(position - start)
                let content = unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[skip..<Int(end - start)])
                try unsafe check.add(content, at: position)
                meter.add(end - position)
                position = end
            }
        }
        meter.finish()
        return total
    }
}
