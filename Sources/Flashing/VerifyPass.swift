// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Glibc
import Model
import Synchronization

/// Reads the whole of what the image covers back from the target, holes included, and compares every byte with the
/// source, which is read a second time. What was read is hashed on the way: that is the only time.
struct VerifyPass {
    let source: any RandomAccessSource
    let target: OpenTarget
    let limits: TransferQueue.Limits
    let monitor: JobMonitor

    struct Outcome {
        /// Of each chunk, as read from the target.
        let digests: [Digest]
        let bytesVerified: UInt64
    }

    /// - Parameter ends: the parts that are not on the target yet, where it must hold zeros; nil when all is there.
    /// - Throws: `verify-failed` with the offset of the first wrong byte; `source-changed` when that is the reason.
    func run(ends: WithheldEnds?) throws -> Outcome {
        target.dropCache()
        let size = source.size
        let comparison = Comparison(source)
        let hasher = try ChunkHasher(chunks: source.chunkCount) { try comparison.compare($0) }
        let pool = ChunkPool(chunks: 8)
        var queue = try TransferQueue(descriptor: target.descriptor, path: target.path, limits: limits)
        var meter = ProgressMeter(.verify, total: size, monitor)
        var next = 0
        while next < source.chunkCount || !queue.isEmpty {
            try monitor.checkCancelled()
            // With nothing in flight there is nothing to do but to wait for a buffer.
            while next < source.chunkCount, !queue.isFull,
                let buffer = queue.isEmpty ? pool.take() : pool.takeIfPresent()
            {
                let length = source.length(ofChunk: next)
                let chunk = Chunk(index: next, length: length, buffer: buffer, pool: pool)
                let count = Int(UInt64(length).roundedUp(to: target.sectorSize))
                try queue.add(Transfer(.read, buffer, count: count, offset: chunk.offset, owner: chunk))
                next += 1
            }
            guard let done = try queue.advance(), let chunk = done.owner as? Chunk else { continue }
            let content = unsafe UnsafeMutableRawBufferPointer(rebasing: chunk.buffer.mutableBytes[..<chunk.length])
            if let ends, unsafe !ends.fill(into: content, at: chunk.offset) {
                throw FlashlayerError(
                    .verifyFailed,
                    "\(target.path) holds other bytes than zeros where its partition table will be",
                    advice: "the device does not keep what is written to it; do not use it",
                    offset: chunk.offset
                )
            }
            hasher.hash(chunk)
            meter.add(UInt64(chunk.length))
        }
        let digests = try hasher.finish()
        meter.finish()
        // A source that was written to in the meantime explains every difference.
        try source.confirmUnchanged()
        if let (offset, chunks) = comparison.mismatch {
            let count = chunks == 1 ? "1 chunk of 4 MiB differs" : "\(chunks) chunks of 4 MiB differ"
            throw FlashlayerError(
                .verifyFailed,
                "\(target.path) differs from the image from byte \(offset) on (\(count))",
                offset: offset
            )
        }
        return Outcome(digests: digests, bytesVerified: size)
    }
}

/// Compares chunks with the source, on several threads at once.
private final class Comparison: Sendable {
    private let source: any RandomAccessSource
    private let hasData: [Bool]
    private let pool = ChunkPool(chunks: 2)
    private let found = Mutex<(offset: UInt64, chunks: Int)?>(nil)

    init(_ source: any RandomAccessSource) {
        self.source = source
        hasData = source.chunksWithData
    }

    /// The first wrong byte, in bytes from the start, and how many chunks are wrong.
    var mismatch: (offset: UInt64, chunks: Int)? { found.withLock { $0 } }

    func compare(_ chunk: Chunk) throws {
        guard let position = try firstDifference(chunk) else { return }
        let offset = chunk.offset + UInt64(position)
        found.withLock { $0 = (min($0?.offset ?? offset, offset), ($0?.chunks ?? 0) + 1) }
    }

    private func firstDifference(_ chunk: Chunk) throws -> Int? {
        if !hasData[chunk.index] {
            return unsafe chunk.content.isAllZero ? nil : chunk.content.firstIndex { $0 != 0 }
        }
        guard let buffer = pool.take() else {
            throw FlashlayerError(.fault, "a chunk could not be compared")
        }
        let wanted = Chunk(index: chunk.index, length: chunk.length, buffer: buffer, pool: pool)
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<chunk.length])
        try unsafe source.read(into: bytes, at: chunk.offset)
        guard
            let one = unsafe chunk.content.baseAddress, let other = unsafe wanted.content.baseAddress,
            unsafe memcmp(one, other, chunk.length) != 0
        else { return nil }
        return (0..<chunk.length).first { unsafe chunk.content[$0] != wanted.content[$0] }
    }
}
