// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Model

/// Looks closer at chunks that were read back wrong, says what became of them, and writes them once more.
struct RepairPass {
    /// More wrong chunks than this are no accident.
    static let limit = 64

    let target: OpenTarget
    let image: JobImage
    let ends: ImageEnds
    /// Of a block map, if there is one: a source that differs from it is not worth writing.
    let trusted: ChunkDigestList?

    /// - Parameter writes: false only looks.
    /// - Returns: the mismatches with all that is known of them now, and the bytes written.
    /// - Throws: `digest-mismatch` when the image itself is not what its block map says.
    func run(_ mismatches: [Mismatch], writes: Bool) throws -> (mismatches: [Mismatch], bytesWritten: UInt64) {
        let byChunk = Dictionary(mismatches.map { ($0.chunk, $0) }) { first, _ in first }
        var known = byChunk
        var written: UInt64 = 0
        let total = UInt64(byChunk.count) * ByteSize.chunk
        var meter = ProgressMeter(.repair, total: total, target.monitor)
        var settings = ReadingPass.Settings()
        settings.wanted = Set(byChunk.keys)
        let pass = ReadingPass(image.source, pool: image.readPool, settings: settings)
        let feed = try pass.onlyFeed()
        defer {
            feed.close()
            pass.cancel()
        }
        let found = AlignedBuffer(count: Int(ByteSize.chunk))
        while true {
            try target.monitor.checkCancelled()
            switch try feed.take(upTo: .milliseconds(100)) {
            case .end: return (known.values.sorted { $0.offset < $1.offset }, written)
            case .detached: throw FlashlayerError(.fault, "the only reader of an image was put off")
            case .nothingYet: meter.beat()
            case .piece(let piece):
                try checkSource(piece)
                if let chunk = piece.chunk {
                    let seen = try look(at: chunk, found)
                    if let seen, known[chunk.index]?.kind == .unknown { known[chunk.index] = seen }
                }
                guard writes else { continue }
                for part in piece.body {
                    let start = piece.chunk.map { Int(part.lowerBound - $0.offset) } ?? 0
                    let buffer = piece.chunk?.buffer ?? .zeros
                    for slice in part.slices(of: ByteSize.chunk) {
                        let from = piece.chunk == nil ? 0 : start + Int(slice.lowerBound - part.lowerBound)
                        try target.queue.add(
                            Transfer(
                                .write,
                                buffer,
                                start: from,
                                count: slice.count,
                                offset: slice.lowerBound,
                                owner: piece.chunk
                            )
                        )
                        written += UInt64(slice.count)
                        try target.queue.finish()
                    }
                }
                written += try clearEnds(within: piece.range)
                meter.add(piece.byteCount)
            }
        }
    }

    private func checkSource(_ piece: ImagePiece) throws {
        guard let trusted else { return }
        for index in piece.chunks {
            let start = UInt64(index) * ByteSize.chunk
            let found =
                try piece.chunk.map { try unsafe SHA256.digest(of: $0.content) }
                ?? ImageDigest.zeros(min(ByteSize.chunk, piece.range.upperBound - start))
            if found != trusted[index] { throw image.mismatch(at: start) }
        }
    }

    private func look(at chunk: Chunk, _ buffer: AlignedBuffer) throws -> Mismatch? {
        try target.queue.add(
            Transfer(.read, buffer, count: target.padded(chunk.length), offset: chunk.offset)
        )
        try target.queue.finish()
        let content = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<chunk.length])
        _ = unsafe ends.fill(into: content, at: chunk.offset)
        return unsafe Mismatch(wanted: chunk.content, found: UnsafeRawBufferPointer(content), of: chunk)
    }

    /// Where the image's ends will be, zeros belong until the commit.
    private func clearEnds(within range: Range<UInt64>) throws -> UInt64 {
        var written: UInt64 = 0
        for end in ends.ranges {
            let part = end.clamped(to: range)
            guard !part.isEmpty else { continue }
            let count = target.padded(part.count)
            try target.queue.add(Transfer(.write, .zeros, count: count, offset: part.lowerBound))
            try target.queue.finish()
            written += UInt64(count)
        }
        return written
    }
}

extension Range<UInt64> {
    fileprivate func slices(of size: UInt64) -> [Range<UInt64>] {
        stride(from: lowerBound, to: upperBound, by: Int(size)).map { $0..<Swift.min(upperBound, $0 + size) }
    }
}
