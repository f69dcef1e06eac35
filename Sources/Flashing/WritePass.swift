// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model

/// Wipes both ends of the target, then writes everything of the image but its own two ends.
struct WritePass {
    let source: any RandomAccessSource
    let target: OpenTarget
    let limits: TransferQueue.Limits
    let monitor: JobMonitor

    /// Until the image's ends are committed, nothing on the target may look like a partition table.
    ///
    /// - Returns: bytes written.
    func wipeEnds() throws -> UInt64 {
        let head = 0..<min(WithheldEnds.length, target.size)
        let tail = max(head.upperBound, target.size - min(target.size, WithheldEnds.length))..<target.size
        // Where the image will end as well: whatever an older, shorter image left there is not trusted either.
        let imageEnds = WithheldEnds(imageSize: source.size).ranges.dropFirst().map { range in
            let end = min(range.upperBound.roundedUp(to: target.sectorSize), tail.lowerBound)
            return min(range.lowerBound, end)..<end
        }
        let ranges = ([head, tail] + imageEnds).filter { !$0.isEmpty }
        var meter = ProgressMeter(.zero, total: ranges.reduce(0) { $0 + UInt64($1.count) }, monitor)
        var queue = try TransferQueue(descriptor: target.descriptor, path: target.path, limits: limits)
        let zeros = AlignedBuffer(count: Int(2 * WithheldEnds.length))
        for range in ranges {
            try queue.add(Transfer(.write, zeros, count: range.count, offset: range.lowerBound))
        }
        while !queue.isEmpty {
            if let done = try queue.advance() { meter.add(UInt64(done.count)) }
        }
        meter.finish()
        return ranges.reduce(0) { $0 + UInt64($1.count) }
    }

    /// - Parameter written: grows by the bytes that are handed to the target, also when the pass fails.
    /// - Returns: the ends, for the commit.
    func run(counting written: inout UInt64) throws -> WithheldEnds {
        let size = source.size
        let ends = WithheldEnds(imageSize: size)
        let hasData = source.chunksWithData
        let reader = try ChunkReader(source, wanted: hasData, pool: ChunkPool(chunks: 8))
        defer { reader.stop() }
        var queue = try TransferQueue(descriptor: target.descriptor, path: target.path, limits: limits)
        var zeroFill = ZeroFill(target)
        var meter = ProgressMeter(.write, total: size, monitor)

        for index in hasData.indices {
            try monitor.checkCancelled()
            let length = source.length(ofChunk: index)
            let start = UInt64(index) * ByteSize.chunk
            // The image's end is withheld, and the rest starts and ends at a MiB: no part cuts a sector.
            let parts = ends.without(start..<(start + UInt64(length)))
            if hasData[index] {
                guard let chunk = try reader.next() else {
                    throw FlashlayerError(.fault, "the reader of the image ended before its end")
                }
                unsafe ends.keep(from: chunk.content, at: start)
                for part in parts {
                    try queue.add(
                        Transfer(
                            .write,
                            chunk.buffer,
                            start: Int(part.lowerBound - start),
                            count: part.count,
                            offset: part.lowerBound,
                            owner: chunk
                        )
                    )
                    written += UInt64(part.count)
                }
            } else {
                for part in parts { try zeroFill.add(part, monitor) }
            }
            while queue.isFull {
                try monitor.checkCancelled()
                _ = try queue.advance()
            }
            if hasData[index] || zeroFill.remaining.isEmpty { meter.add(UInt64(length)) }
        }
        while !queue.isEmpty {
            try monitor.checkCancelled()
            _ = try queue.advance()
        }
        if !zeroFill.remaining.isEmpty {
            written += try ZeroPass(target: target, limits: limits).run(zeroFill.remaining, meter: &meter, monitor)
        }
        meter.finish()
        try source.confirmUnchanged()
        return ends
    }
}
