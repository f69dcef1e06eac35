// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Model

/// Reads the whole of what the image covers back from the target, holes included, and compares the digest of every
/// chunk.
struct VerifyPass {
    let source: any ImageSource
    let target: OpenTarget
    let limits: TransferQueue.Limits
    let monitor: JobMonitor

    struct Outcome {
        /// As read from the target.
        let digests: [Digest]
        let bytesVerified: UInt64
    }

    /// - Parameters:
    ///   - expected: the digest of every chunk of the image.
    ///   - ends: the parts that are not on the target yet, where it must hold zeros; nil when all is there.
    /// - Throws: `verify-failed` with the offset of the first wrong byte.
    func run(expected: [Digest], ends: WithheldEnds?) throws -> Outcome {
        try target.dropCache()
        let size = source.facts.size
        let hasher = try ChunkHasher(chunks: source.chunkCount)
        let pool = ChunkPool(chunks: 8)
        var queue = try TransferQueue(descriptor: target.descriptor, path: target.path, limits: limits)
        var meter = ProgressMeter(.verify, total: size, monitor)
        var next = 0
        while next < source.chunkCount || !queue.isEmpty {
            try monitor.checkCancelled()
            while next < source.chunkCount, !queue.isFull,
                let buffer = queue.isEmpty ? pool.take() : pool.takeIfPresent()
            {
                let length = source.length(ofChunk: next)
                let chunk = Chunk(index: next, length: length, buffer: buffer, pool: pool)
                let count = Int(UInt64(length).roundedUp(to: target.sectorSize))
                try queue.add(Transfer(.read, buffer, count: count, offset: chunk.offset, owner: chunk, label: next))
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
        if let bad = zip(expected, digests).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
            throw try mismatch(inChunk: bad, count: zip(expected, digests).count { $0 != $1 }, ends: ends)
        }
        return Outcome(digests: digests, bytesVerified: size)
    }

    /// Finds the first wrong byte of a chunk by reading it once more from both sides.
    private func mismatch(inChunk index: Int, count: Int, ends: WithheldEnds?) throws -> FlashlayerError {
        let length = source.length(ofChunk: index)
        let start = UInt64(index) * ByteSize.chunk
        let wanted = AlignedBuffer(count: length)
        let found = AlignedBuffer(count: Int(UInt64(length).roundedUp(to: target.sectorSize)))
        let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: wanted.mutableBytes[..<length])
        try unsafe source.read(into: bytes, at: start)
        try target.dropCache()
        var queue = try TransferQueue(descriptor: target.descriptor, path: target.path, limits: limits)
        let wholeSectors = Int(UInt64(length).roundedUp(to: target.sectorSize))
        try queue.add(Transfer(.read, found, count: wholeSectors, offset: start))
        while !queue.isEmpty { _ = try queue.advance() }
        if let ends {
            let content = unsafe UnsafeMutableRawBufferPointer(rebasing: found.mutableBytes[..<length])
            _ = unsafe ends.fill(into: content, at: start)
        }
        let position = (0..<length).first { unsafe wanted.bytes[$0] != found.bytes[$0] }
        let chunks = count == 1 ? "1 chunk of 4 MiB differs" : "\(count) chunks of 4 MiB differ"
        guard let position else {
            return FlashlayerError(
                .verifyFailed,
                "\(target.path) gave other bytes on a second reading near byte \(start) (\(chunks))",
                advice: "the device or its cable is faulty; do not use it",
                offset: start
            )
        }
        let offset = start + UInt64(position)
        return FlashlayerError(
            .verifyFailed,
            "\(target.path) differs from the image from byte \(offset) on (\(chunks))",
            offset: offset
        )
    }
}
