// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model

/// Finds out before the long write whether the target has as much room as it says. Counterfeit sticks take everything,
/// and put what lies behind their end in front again, or nowhere.
///
/// Stamps, each with its own place in it, go over the first stretch of the target without a gap, and onto one block at
/// the start of every further stretch. Whatever the true capacity, the first stamp behind it comes out on another stamp
/// or is lost.
struct CapacityProbe {
    private static let blockSize: UInt64 = 4096
    /// How much of the dense stretch is written at once.
    private static let batchSize = 1 << 20
    /// How many blocks behind it are under way at once: more than a few stall what sits behind a USB bridge.
    private static let farBatch = 16
    /// The stretch of a large target, and the smallest one.
    private static let stretches: ClosedRange<UInt64> = (1 << 20)...(64 << 20)

    let target: OpenTarget
    private let stretch: UInt64
    private let dense: UInt64
    private let far: [UInt64]
    private let seed: UInt64

    /// - Parameter seed: makes the stamps of this run differ from those of any run before.
    init(target: OpenTarget, seed: UInt64 = .random(in: 1 ... .max)) {
        self.target = target
        self.seed = seed
        // As few blocks far behind as there are blocks in front: a short stretch for a small target.
        var stretch = Self.stretches.lowerBound
        while stretch < Self.stretches.upperBound, stretch * stretch < min(target.size, 64 << 30) * (100 << 10) {
            stretch *= 2
        }
        self.stretch = stretch
        let end = target.size.roundedDown(to: Self.blockSize)
        dense = min(stretch, end)
        var far = Array(Swift.stride(from: stretch, to: end, by: Int(stretch)))
        if let last = far.last, end >= Self.blockSize, last < end - Self.blockSize { far.append(end - Self.blockSize) }
        self.far = far
    }

    /// - Parameter covered: bytes from the start that are written later on, stamped or not; stamps behind them are zeroed.
    /// - Returns: bytes written.
    /// - Throws: `counterfeit` with the first place whose stamp is not there.
    func run(covered: UInt64) throws -> UInt64 {
        let total = dense + UInt64(far.count) * Self.blockSize
        var meter = ProgressMeter(.probe, total: 2 * total, target.monitor, isNew: false)
        let arena = AlignedBuffer(count: Self.batchSize)
        // The far ones first: what comes out in front is overwritten by what belongs there, and is missing then.
        try forFar { offsets in
            for (index, offset) in offsets.enumerated() { stamp(arena, index * Int(Self.blockSize), offset) }
            try transferFar(.write, arena, offsets)
            meter.add(UInt64(offsets.count) * Self.blockSize)
        }
        try forDense { offset, count in
            for block in Swift.stride(from: 0, to: count, by: Int(Self.blockSize)) {
                stamp(arena, block, offset + UInt64(block))
            }
            try transfer(.write, arena, count: count, at: offset)
            meter.add(UInt64(count))
        }
        try target.flush(after: total)
        target.dropCache()
        try forFar { offsets in
            try transferFar(.read, arena, offsets)
            for (index, offset) in offsets.enumerated() { try check(arena, index * Int(Self.blockSize), offset) }
            meter.add(UInt64(offsets.count) * Self.blockSize)
        }
        try forDense { offset, count in
            try transfer(.read, arena, count: count, at: offset)
            for block in Swift.stride(from: 0, to: count, by: Int(Self.blockSize)) {
                try check(arena, block, offset + UInt64(block))
            }
            meter.add(UInt64(count))
        }
        let cleared = try clear(behind: covered)
        meter.finish()
        return total + cleared
    }

    /// Behind the image nobody writes any more.
    private func clear(behind covered: UInt64) throws -> UInt64 {
        var written: UInt64 = 0
        var position = covered.roundedDown(to: Self.blockSize)
        while position < dense {
            let count = min(ByteSize.chunk, dense - position)
            try transfer(.write, .zeros, count: Int(count), at: position)
            position += count
            written += count
        }
        for offset in far where offset + Self.blockSize > covered {
            try transfer(.write, .zeros, count: Int(Self.blockSize), at: offset)
            written += Self.blockSize
        }
        return written
    }

    /// Several blocks at a time: one after the other would wait for the device each time.
    private func forFar(_ body: (_ offsets: ArraySlice<UInt64>) throws -> Void) throws {
        for start in Swift.stride(from: 0, to: far.count, by: Self.farBatch) {
            try target.monitor.checkCancelled()
            try body(far[start..<min(start + Self.farBatch, far.count)])
        }
    }

    private func transferFar(
        _ direction: Transfer.Direction,
        _ buffer: AlignedBuffer,
        _ offsets: ArraySlice<UInt64>
    ) throws {
        let count = Int(Self.blockSize)
        for (index, offset) in offsets.enumerated() {
            try target.queue.add(Transfer(direction, buffer, start: index * count, count: count, offset: offset))
        }
        try target.queue.finish()
    }

    private func forDense(_ body: (_ offset: UInt64, _ count: Int) throws -> Void) throws {
        for offset in Swift.stride(from: 0, to: dense, by: Self.batchSize) {
            try target.monitor.checkCancelled()
            try body(offset, Int(min(UInt64(Self.batchSize), dense - offset)))
        }
    }

    private func stamp(_ buffer: AlignedBuffer, _ start: Int, _ offset: UInt64) {
        let bytes = unsafe buffer.mutableBytes
        for position in Swift.stride(from: start, to: start + Int(Self.blockSize), by: 8) {
            let word = word(offset, UInt64(position - start))
            unsafe bytes.storeBytes(of: word, toByteOffset: position, as: UInt64.self)
        }
    }

    private func check(_ buffer: AlignedBuffer, _ start: Int, _ offset: UInt64) throws {
        var isRight = true
        let bytes = unsafe buffer.bytes
        for position in Swift.stride(from: start, to: start + Int(Self.blockSize), by: 8) {
            let found = unsafe bytes.load(fromByteOffset: position, as: UInt64.self)
            isRight = isRight && found == word(offset, UInt64(position - start))
        }
        guard !isRight else { return }
        throw FlashlayerError(
            .counterfeit,
            "\(target.path) has less room than the \(ByteSize.describe(target.size)) that it claims, or loses data: "
                + "what was written at byte \(offset) is not there",
            advice: "do not use it; nothing of the image was written",
            offset: offset
        )
    }

    /// Never zero, and different in each block and each run.
    private func word(_ offset: UInt64, _ position: UInt64) -> UInt64 {
        ((offset &+ position &+ seed) &* 0x9E37_79B9_7F4A_7C15) | 1
    }

    private func transfer(
        _ direction: Transfer.Direction,
        _ buffer: AlignedBuffer,
        count: Int,
        at offset: UInt64
    ) throws {
        try target.queue.add(Transfer(direction, buffer, count: count, offset: offset))
        try target.queue.finish()
    }
}
