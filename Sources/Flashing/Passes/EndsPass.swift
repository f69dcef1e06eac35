// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model

/// The two ends of a target: wiped before anything else is written, written last of all.
struct EndsPass {
    let target: OpenTarget
    /// What stands behind the image is zeroed as well.
    var clearsBehind = false
    /// Of an image whose table's backup stands between its ends: what is written last there as well.
    var between: [Range<UInt64>] = []

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
    /// Where the header of a backup GPT stands.
    private static let lastBytes: UInt64 = 4096

    /// Writes what the target has last: the header of a backup GPT last but one, and the first 4 KiB last of all. From that
    /// moment on the target is a disk with an image.
    ///
    /// - Parameter repairs: how often what was read back wrong is written once more.
    /// - Returns: bytes written.
    func commit(_ ends: TargetEnds, verifies: Bool, repairs: Int = 0) throws -> UInt64 {
        let parts = parts(of: ends)
        let total = parts.reduce(0) { $0 + UInt64($1.range.count) }
        var meter = ProgressMeter(.commit, total: total, target.monitor)
        var written: UInt64 = 0
        for round in 0...(verifies ? repairs : 0) {
            // Each on its own and flushed: a device takes the requests of one transfer in any order.
            for (range, region) in parts {
                try transfer(.write, region.content, range, from: Int(range.lowerBound - region.range.lowerBound))
                try target.flush()
                meter.add(UInt64(range.count))
                written += UInt64(range.count)
            }
            guard verifies else { break }
            target.dropCache()
            guard let wrong = try differences(ends).first else { break }
            guard round < repairs else {
                throw FlashlayerError(
                    .verifyFailed,
                    "\(target.path) differs from the image from byte \(wrong.offset) on, in what was written last",
                    offset: wrong.offset
                )
            }
            _ = try wipe(imageSize: ends.image.ranges.last?.upperBound)
        }
        meter.finish()
        return written
    }

    /// What is written, in this order: what no tool looks at before the rest is there comes first.
    private func parts(of ends: TargetEnds) -> [(range: Range<UInt64>, region: TargetEnds.Region)] {
        let size = target.size
        let cuts = [min(Self.firstBytes, size), max(min(Self.firstBytes, size), size - min(size, Self.lastBytes))]
        let bounds = [0] + cuts + [UInt64.max]
        // What is cleared was zeroed before all the rest.
        let parts = ends.regions.filter { $0.kind != .cleared }.flatMap { region in
            zip(bounds, bounds.dropFirst()).map { region.range.clamped(to: $0..<$1) }.filter { !$0.isEmpty }
                .map { (range: $0, region: region) }
        }
        func rank(_ part: (range: Range<UInt64>, region: TargetEnds.Region)) -> Int {
            if part.range.lowerBound < cuts[0] { return 4 }
            if part.range.lowerBound >= cuts[1] { return 3 }
            if part.region.kind == .table { return 0 }
            return part.region.range.lowerBound == 0 ? 2 : 1
        }
        return parts.sorted { (rank($0), $0.range.lowerBound) < (rank($1), $1.range.lowerBound) }
    }

    /// Compares what was written last with what the target has there, and with what is cleared.
    ///
    /// - Returns: the first difference in each region; in the order of their places.
    func differences(
        _ ends: TargetEnds,
        in kinds: Set<TargetEnds.Region.Kind> = [.image, .table, .cleared]
    ) throws -> [Mismatch] {
        let found = AlignedBuffer(count: Self.comparedBytes)
        return try ends.regions.filter { kinds.contains($0.kind) }.compactMap { region in
            for start in stride(from: 0, to: region.range.count, by: found.count) {
                let offset = region.range.lowerBound + UInt64(start)
                let range = offset..<min(offset + UInt64(found.count), region.range.upperBound)
                try transfer(.read, found, range)
                // The rest of the last sector is zero.
                let count = target.padded(range.count)
                let mismatch = unsafe Mismatch(
                    wanted: UnsafeRawBufferPointer(rebasing: region.content.bytes[start..<(start + count)]),
                    found: UnsafeRawBufferPointer(rebasing: found.bytes[..<count]),
                    at: offset
                )
                if let mismatch { return mismatch }
            }
            return nil
        }
    }

    /// How much is compared at once, in bytes: many targets may do so at the same time.
    private static let comparedBytes = 256 << 10

    private func imageTail(_ imageSize: UInt64, before tail: Range<UInt64>) -> [Range<UInt64>] {
        let own = (between + ImageEnds(imageSize: imageSize).ranges.dropFirst()).map { range in
            let end = min(range.upperBound.roundedUp(to: target.sectorSize), tail.lowerBound)
            return min(range.lowerBound, end)..<end
        }
        guard clearsBehind else { return own }
        return own
            + TargetEnds.cleared(imageSize: imageSize, size: target.size, sectorSize: target.sectorSize).map { range in
                range.clamped(to: 0..<tail.lowerBound)
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
