// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Model

/// Writes everything of the image but its two ends, or compares first and writes only what differs.
struct WritePass: ~Copyable {
    /// The device's offload for zeros may be the kernel writing them: a piece of it must end before anybody takes it for
    /// a hang. Bytes.
    private static let punchSize: UInt64 = 64 << 20

    private let target: OpenTarget
    private let plan: RewritePlan
    private let holes: FlashJob.Holes
    private let buffers: ChunkShare
    private var meter: ProgressMeter
    private var hasOffload = true
    private var zeroChoice = ZeroChoice()
    /// Bytes handed to the target.
    private(set) var bytesWritten: UInt64 = 0
    /// Nothing was written yet: the target is as it was.
    private(set) var isUntouched: Bool
    /// What has to happen before the first byte is written.
    private let open: () throws -> UInt64

    /// - Parameters:
    ///   - buffers: for what is read from the target.
    ///   - isOpen: the target's ends are wiped already.
    ///   - open: wipes them; is called before the first byte is written.
    init(
        target: OpenTarget,
        plan: RewritePlan,
        holes: FlashJob.Holes,
        buffers: ChunkShare,
        imageSize: UInt64?,
        isOpen: Bool,
        open: @escaping () throws -> UInt64
    ) {
        self.target = target
        self.plan = plan
        self.holes = holes
        self.buffers = buffers
        self.open = open
        isUntouched = !isOpen
        meter = ProgressMeter(plan.comparesAll ? .compare : .write, total: imageSize, target.monitor)
    }

    /// - Parameter next: gives the feed to go on with when this one was detached.
    mutating func run(_ first: Feed, next: (_ from: Int) throws -> Feed) throws -> (ImageEnds, imageSize: UInt64) {
        var feed = first
        defer { feed.close() }
        while true {
            try target.monitor.checkCancelled()
            // With work under way, a piece that is there is taken, and otherwise the device is waited for.
            let wait = target.queue.isEmpty ? Duration.milliseconds(100) : .zero
            let item = target.queue.isFull ? .nothingYet : try feed.take(upTo: wait)
            switch item {
            case .piece(let piece): try take(piece)
            case .detached(let index):
                try finishTransfers()
                feed.close()
                feed = try next(index)
            case .end(let ends, let size):
                try finishTransfers()
                meter.finish()
                return (ends, size)
            case .nothingYet:
                if target.queue.isEmpty { meter.beat() } else { try advance() }
            }
        }
    }

    private mutating func take(_ piece: ImagePiece) throws {
        guard piece.range.upperBound <= target.size else {
            throw FlashlayerError(
                .imageTooLarge,
                "the image goes on behind byte \(target.size), where \(target.path) ends",
                offset: target.size
            )
        }
        switch piece.content {
        case .data(let chunk):
            if plan.compares(chunk.index) {
                let found = try buffer(chunk.index, chunk.length)
                try target.queue.add(
                    Transfer(
                        .read,
                        found.buffer,
                        count: target.padded(chunk.length),
                        offset: chunk.offset,
                        owner: Comparison(wanted: chunk, found: found, body: piece.body)
                    )
                )
            } else {
                for part in piece.body { try write(part, of: chunk) }
                meter.add(piece.byteCount)
            }
        case .zeros(let isHole):
            if isHole, holes == .skip {
                meter.add(piece.byteCount)
            } else {
                for part in piece.body { try zero(part, compares: plan.compares(piece.chunks.lowerBound)) }
                meter.add(piece.byteCount - piece.body.reduce(0) { $0 + UInt64($1.count) })
            }
        }
    }

    private mutating func write(_ part: Range<UInt64>, of chunk: Chunk) throws {
        try touch()
        let start = Int(part.lowerBound - chunk.offset)
        try target.queue.add(
            Transfer(
                .write,
                chunk.buffer,
                start: start,
                count: part.count,
                offset: part.lowerBound,
                owner: chunk,
                place: chunk.place
            )
        )
        bytesWritten += UInt64(part.count)
    }

    // MARK: - Zeros

    private mutating func zero(_ range: Range<UInt64>, compares: Bool) throws {
        var position = range.lowerBound
        while position < range.upperBound {
            try target.monitor.checkCancelled()
            if !compares, hasOffload {
                try touch()
                let piece = position..<min(range.upperBound, position + Self.punchSize)
                hasOffload = try target.queue.punchHole(piece)
                if hasOffload {
                    position = piece.upperBound
                    meter.add(UInt64(piece.count))
                }
                continue
            }
            let piece = position..<min(range.upperBound, position + ByteSize.chunk)
            if compares || zeroChoice.readsFirst() {
                let found = try buffer(0, piece.count)
                try target.queue.add(
                    Transfer(
                        .read,
                        found.buffer,
                        count: piece.count,
                        offset: piece.lowerBound,
                        owner: ZeroCheck(found: found)
                    )
                )
            } else {
                try writeZeros(piece)
                meter.add(UInt64(piece.count))
            }
            position = piece.upperBound
            while target.queue.isFull { try advance() }
        }
    }

    private mutating func writeZeros(_ range: Range<UInt64>) throws {
        try touch()
        try target.queue.add(Transfer(.write, .zeros, count: range.count, offset: range.lowerBound))
        bytesWritten += UInt64(range.count)
    }

    // MARK: - What was read

    private mutating func advance() throws {
        guard let done = try target.queue.advance() else {
            meter.beat()
            return try target.monitor.checkCancelled()
        }
        try judge(done)
    }

    private mutating func judge(_ done: Transfer) throws {
        switch done.owner {
        case let comparison as Comparison:
            for part in comparison.body where comparison.differs(in: part) {
                try write(part, of: comparison.wanted)
            }
            meter.add(UInt64(comparison.wanted.length))
        case let check as ZeroCheck:
            let isZero = unsafe check.found.content.isAllZero
            zeroChoice.found(zero: isZero)
            if !isZero { try writeZeros(done.range) }
            meter.add(UInt64(done.count))
        default: break
        }
    }

    private mutating func finishTransfers() throws {
        while !target.queue.isEmpty { try advance() }
    }

    /// A buffer for what is read from the target; waits for one of our own to come back.
    private mutating func buffer(_ index: Int, _ length: Int) throws -> Chunk {
        while true {
            if let chunk = buffers.take(index: index, length: length) { return chunk }
            try target.monitor.checkCancelled()
            if target.queue.isEmpty { meter.beat() } else { try advance() }
        }
    }

    /// Before the first byte is written, the ends are wiped: a target that is half one image and half another has no
    /// partition table.
    private mutating func touch() throws {
        guard isUntouched else { return }
        isUntouched = false
        // Wiping waits for all that is in flight, and looks at none of it: what was read for a comparison is kept.
        var read: [Transfer] = []
        try target.queue.finish { read.append($0) }
        bytesWritten += try open()
        for done in read { try judge(done) }
    }
}

/// A chunk of the image, and what the target has in its place.
private final class Comparison: ChunkHolder {
    let wanted: Chunk
    let found: Chunk
    let body: [Range<UInt64>]

    init(wanted: Chunk, found: Chunk, body: [Range<UInt64>]) {
        self.wanted = wanted
        self.found = found
        self.body = body
    }

    var chunks: [Chunk] { [wanted, found] }

    func differs(in part: Range<UInt64>) -> Bool {
        let start = Int(part.lowerBound - wanted.offset)
        guard
            let one = unsafe wanted.content.baseAddress, let other = unsafe found.content.baseAddress
        else { return false }
        return unsafe memcmp(one + start, other + start, part.count) != 0
    }
}

/// What the target has where zeros belong.
private final class ZeroCheck: ChunkHolder {
    let found: Chunk

    init(found: Chunk) {
        self.found = found
    }

    var chunks: [Chunk] { [found] }
}
