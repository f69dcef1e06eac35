// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model

/// Reads ranges that have to be zero, and writes zeros where they are not.
struct ZeroPass {
    let target: OpenTarget
    let limits: TransferQueue.Limits

    /// - Returns: bytes written.
    func run(_ ranges: [Range<UInt64>], meter: inout ProgressMeter, _ monitor: JobMonitor) throws -> UInt64 {
        var queue = try TransferQueue(descriptor: target.descriptor, path: target.path, limits: limits)
        let pool = ChunkPool(chunks: 4)
        let zeros = AlignedBuffer(count: Int(ByteSize.chunk))
        var pieces = ranges.flatMap { range in
            stride(from: range.lowerBound, to: range.upperBound, by: Int(ByteSize.chunk)).map { start in
                start..<min(range.upperBound, start + ByteSize.chunk)
            }
        }[...]
        var written: UInt64 = 0
        while !pieces.isEmpty || !queue.isEmpty {
            try monitor.checkCancelled()
            while let piece = pieces.first, let buffer = pool.takeIfPresent() {
                pieces.removeFirst()
                let chunk = Chunk(index: 0, length: piece.count, buffer: buffer, pool: pool)
                try queue.add(Transfer(.read, buffer, count: piece.count, offset: piece.lowerBound, owner: chunk))
            }
            guard let done = try queue.advance() else { continue }
            let count = UInt64(done.count)
            if done.direction == .read {
                let content = unsafe UnsafeRawBufferPointer(rebasing: done.buffer.bytes[..<done.count])
                if unsafe !content.isAllZero {
                    try queue.add(Transfer(.write, zeros, count: done.count, offset: done.offset))
                    written += count
                }
            }
            if done.direction == .read { meter.add(count) }
        }
        return written
    }
}
