// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Model

/// Which chunks of the image are compared with the target before they are written.
struct RewritePlan: Sendable, Equatable {
    /// Chunks before this one are compared; from there on everything is written.
    let comparedChunks: Int

    static let writeAll = RewritePlan(comparedChunks: 0)
    static let compareAll = RewritePlan(comparedChunks: .max)

    func compares(_ chunk: Int) -> Bool { chunk < comparedChunks }
    var comparesAll: Bool { comparedChunks == .max }
    var comparesAnything: Bool { comparedChunks > 0 }
}

/// Looks at a few places of the target, to see whether it carries most of the image, or its beginning.
struct Sampler {
    private static let sampleCount = 64
    private static let sampleSize = 64 << 10

    let source: any RandomAccessSource
    let target: OpenTarget

    func plan() throws -> RewritePlan {
        let offsets = places()
        let matches = try offsets.compactMap { offset in try self.matches(at: offset).map { (offset, $0) } }
        return Self.plan(matches)
    }

    /// - Parameter samples: places in order, and whether the target has there what the image has.
    static func plan(_ samples: [(offset: UInt64, matches: Bool)]) -> RewritePlan {
        guard !samples.isEmpty else { return .writeAll }
        // Reading costs less than writing on every medium; where half of it is there, comparing pays.
        if samples.count(where: { $0.matches }) * 2 >= samples.count { return .compareAll }
        // An interrupted write leaves the beginning of the image.
        let beginning = samples.prefix { $0.matches }
        guard beginning.count >= 4, let last = beginning.last else { return .writeAll }
        return RewritePlan(comparedChunks: Int(last.offset / ByteSize.chunk) + 1)
    }

    /// Evenly over the data of the image, without its ends: an interrupted write has wiped those.
    private func places() -> [UInt64] {
        let ends = ImageEnds(imageSize: source.size)
        let data = source.extents.filter { $0.kind == .data }.flatMap { extent in
            ends.without(extent.offset..<extent.end)
        }
        let total = data.reduce(0) { $0 + UInt64($1.count) }
        let step = max(UInt64(Self.sampleSize), total / UInt64(Self.sampleCount))
        var places: [UInt64] = []
        var next = step / 2
        var passed: UInt64 = 0
        for range in data {
            while next < passed + UInt64(range.count) {
                let place = (range.lowerBound + (next - passed)).roundedDown(to: 4096)
                if place + UInt64(Self.sampleSize) <= min(source.size, target.size) { places.append(place) }
                next += step
            }
            passed += UInt64(range.count)
        }
        return places
    }

    /// - Returns: nil where the image has nothing but zeros, which say nothing.
    private func matches(at offset: UInt64) throws -> Bool? {
        try target.monitor.checkCancelled()
        let wanted = AlignedBuffer(count: Self.sampleSize)
        try unsafe source.read(into: wanted.mutableBytes, at: offset)
        if unsafe wanted.bytes.isAllZero { return nil }
        let found = AlignedBuffer(count: Self.sampleSize)
        try target.queue.add(Transfer(.read, found, count: found.count, offset: offset))
        try target.queue.finish()
        guard let one = unsafe wanted.bytes.baseAddress, let other = unsafe found.bytes.baseAddress else { return nil }
        return unsafe memcmp(one, other, Self.sampleSize) == 0
    }
}
