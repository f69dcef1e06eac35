// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model

/// The two ends of a target: wiped before anything else is written, written last of all.
struct EndsPass {
    let target: OpenTarget

    /// From here on no tool finds a partition table on the target, until the image's ends are committed.
    ///
    /// - Parameter imageSize: where the image will end: whatever an older, shorter image left there is not trusted
    ///   either. Nil while it is not known.
    /// - Returns: bytes written.
    func wipe(imageSize: UInt64?) throws -> UInt64 {
        let head = 0..<min(ImageEnds.length, target.size)
        let tail = max(head.upperBound, target.size - min(target.size, ImageEnds.length))..<target.size
        let ranges = [head, tail] + (imageSize.map { imageTail($0, before: tail) } ?? [])
        target.monitor.emit(.touched)
        let written = try zero(ranges)
        try target.flush()
        return written
    }

    /// Where the image turned out to end, once a stream has told its size.
    ///
    /// - Returns: bytes written.
    func wipeImageTail(imageSize: UInt64) throws -> UInt64 {
        let tail = (target.size - min(target.size, ImageEnds.length))..<target.size
        return try zero(imageTail(imageSize, before: tail))
    }

    /// Where every partition table begins: the MBR, and the header of a GPT of 512-byte sectors. Without it, what a GPT of
    /// 4096-byte sectors has behind it is no table either. One request to any device.
    private static let firstBytes: UInt64 = 4096

    /// Writes the image's own ends, its first 4 KiB last of all: from that moment on the target is a disk with an image.
    ///
    /// - Returns: bytes written.
    func commit(_ ends: ImageEnds, verifies: Bool) throws -> UInt64 {
        let total = ends.ranges.reduce(0) { $0 + UInt64($1.count) }
        var meter = ProgressMeter(.commit, total: total, target.monitor)
        // Each on its own and flushed: a device takes the requests of one transfer in any order.
        for (range, content) in zip(ends.ranges, ends.contents).reversed() {
            let split = min(max(Self.firstBytes, range.lowerBound), range.upperBound)
            for part in [split..<range.upperBound, range.lowerBound..<split] where !part.isEmpty {
                try transfer(.write, content, part, from: Int(part.lowerBound - range.lowerBound))
                try target.flush()
                meter.add(UInt64(part.count))
            }
        }
        if verifies {
            target.dropCache()
            if let offset = try firstDifference(ends) {
                throw FlashlayerError(
                    .verifyFailed,
                    "\(target.path) differs from the image from byte \(offset) on, in what was written last",
                    offset: offset
                )
            }
        }
        meter.finish()
        return total
    }

    /// Compares the image's ends with what the target has there.
    ///
    /// - Returns: the first byte that differs, from the start; nil when both are the same.
    func firstDifference(_ ends: ImageEnds) throws -> UInt64? {
        for (range, content) in zip(ends.ranges, ends.contents) {
            let found = AlignedBuffer(count: content.count)
            try transfer(.read, found, range)
            // The rest of the last sector is zero.
            let position = (0..<target.padded(range.count)).first { unsafe content.bytes[$0] != found.bytes[$0] }
            if let position { return range.lowerBound + UInt64(position) }
        }
        return nil
    }

    private func imageTail(_ imageSize: UInt64, before tail: Range<UInt64>) -> [Range<UInt64>] {
        ImageEnds(imageSize: imageSize).ranges.dropFirst().map { range in
            let end = min(range.upperBound.roundedUp(to: target.sectorSize), tail.lowerBound)
            return min(range.lowerBound, end)..<end
        }
    }

    private func zero(_ ranges: [Range<UInt64>]) throws -> UInt64 {
        let ranges = ranges.filter { !$0.isEmpty }
        let total = ranges.reduce(0) { $0 + UInt64($1.count) }
        for range in ranges {
            try target.queue.add(Transfer(.write, .zeros, count: range.count, offset: range.lowerBound))
        }
        try target.queue.finish()
        return total
    }

    /// - Parameter start: where in the buffer the range begins.
    private func transfer(
        _ direction: Transfer.Direction,
        _ buffer: AlignedBuffer,
        _ range: Range<UInt64>,
        from start: Int = 0
    ) throws {
        let count = target.padded(range.count)
        try target.queue.add(Transfer(direction, buffer, start: start, count: count, offset: range.lowerBound))
        try target.queue.finish()
    }
}
