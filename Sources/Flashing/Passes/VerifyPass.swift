// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Glibc
import Model
import PartitionTables
import Synchronization

/// Reads the whole of what the image covers back from the target, holes included, and compares every byte.
struct VerifyPass {
    /// What the target has to hold.
    enum Reference {
        /// The image, which is read once more.
        case image(Feed, imageSize: UInt64?, next: (_ from: Int) throws -> Feed)
        /// The digests of the chunks, from the write or from a block map.
        case digests(ChunkDigestList, imageSize: UInt64)
    }

    /// How the parts are looked at that are written last.
    enum Ends {
        /// They are not on the target yet, and it must hold zeros there.
        case withheld(ImageEnds)
        /// They are compared apart, by `EndsPass`, with the table edits in them. Nil where the end of the image tells them.
        case apart(ImageEnds?)
        /// They were edited, and are turned back into what the image has, which its digests prove.
        case restored(RestoredTable)
        /// As all the rest.
        case whole
    }

    let target: OpenTarget
    let buffers: ChunkShare
    let workers: WorkerThreads
    let ends: Ends
    /// Chunks that were left as they were.
    var skipped: (Int) -> Bool = { _ in false }

    struct Outcome {
        var mismatches: [Mismatch] = []
        var bytesVerified: UInt64 = 0
        var imageSize: UInt64 = 0
        /// Of an image that was read.
        var ends: ImageEnds?
    }

    /// - Parameter only: the chunks to read; nil for all.
    func run(_ reference: Reference, phase: FlashPhase = .verify, only: Set<Int>? = nil) throws -> Outcome {
        target.dropCache()
        switch reference {
        case .image(let feed, let size, let next): return try compare(feed, size, next)
        case .digests(let digests, let size): return try check(digests, size, phase, only)
        }
    }

    // MARK: - Against digests

    private func check(
        _ digests: ChunkDigestList,
        _ imageSize: UInt64,
        _ phase: FlashPhase,
        _ only: Set<Int>?
    ) throws -> Outcome {
        // A list that says nothing of a chunk proves nothing of it.
        guard digests.covers(imageSize) else {
            throw FlashlayerError(.fault, "there is no digest for some of the image's chunks")
        }
        let all = 0..<Int(imageSize.roundedUp(to: ByteSize.chunk) / ByteSize.chunk)
        let chunks = (only.map { $0.sorted() } ?? Array(all)).filter { !skipped($0) }
        let lengths = { (index: Int) in Int(min(ByteSize.chunk, imageSize - UInt64(index) * ByteSize.chunk)) }
        let total = chunks.reduce(0) { $0 + UInt64(lengths($1)) }
        var reading = Reading(self, meter: ProgressMeter(phase, total: total, target.monitor))
        let zeros = try ImageDigest.zeros(ByteSize.chunk)
        for index in chunks {
            let found = try reading.buffer(index, lengths(index))
            let expected = digests[index]
            try reading.read(found) { [ends] mismatches in
                mismatches.note(endsFault: ends.put(into: found), found)
                if found.length == Int(ByteSize.chunk), expected == zeros {
                    mismatches.add(Mismatch(zeros: found))
                } else if try unsafe SHA256.digest(of: found.content) != expected {
                    mismatches.add(Mismatch(chunk: index, offset: found.offset, kind: found.emptyOrUnknown))
                }
            }
        }
        var outcome = try reading.finish()
        outcome.imageSize = imageSize
        return outcome
    }

    // MARK: - Against the image

    private func compare(_ first: Feed, _ imageSize: UInt64?, _ next: (Int) throws -> Feed) throws -> Outcome {
        var feed = first
        defer { feed.close() }
        var reading = Reading(self, meter: ProgressMeter(.verify, total: imageSize, target.monitor))
        while true {
            try target.monitor.checkCancelled()
            let wait = target.queue.isEmpty ? Duration.milliseconds(100) : .zero
            let item = target.queue.isFull ? .nothingYet : try feed.take(upTo: wait)
            switch item {
            case .piece(let piece): try compare(piece, &reading)
            case .detached(let index):
                feed.close()
                feed = try next(index)
            case .end(let ends, let size):
                var outcome = try reading.finish()
                outcome.imageSize = size
                outcome.ends = ends
                return outcome
            case .nothingYet: try reading.wait()
            }
        }
    }

    private func compare(_ piece: ImagePiece, _ reading: inout Reading) throws {
        guard piece.range.upperBound <= target.size else {
            throw FlashlayerError(
                .verifyFailed,
                "\(target.path) is smaller than the image, which goes on behind byte \(target.size)",
                offset: target.size
            )
        }
        if let wanted = piece.chunk {
            let found = try reading.buffer(wanted.index, wanted.length)
            try reading.read(found) { [ends] mismatches in
                unsafe ends.blank(found, outside: piece.body, with: wanted.content)
                mismatches.note(endsFault: ends.put(into: found), found)
                mismatches.add(unsafe Mismatch(wanted: wanted.content, found: found.content, of: wanted))
            }
            return
        }
        for index in piece.chunks where !skipped(index) {
            let start = UInt64(index) * ByteSize.chunk
            let found = try reading.buffer(index, Int(min(ByteSize.chunk, piece.range.upperBound - start)))
            try reading.read(found) { [ends] mismatches in
                unsafe ends.blank(found, outside: piece.body, with: nil)
                mismatches.add(Mismatch(zeros: found))
            }
        }
    }

    // MARK: - Reading

    /// Keeps the target reading, and hands what was read to the threads that check it.
    private struct Reading: ~Copyable {
        private let pass: VerifyPass
        private let tasks: Tasks
        private let mismatches = Mismatches()
        private var meter: ProgressMeter
        private var bytes: UInt64 = 0

        init(_ pass: borrowing VerifyPass, meter: consuming ProgressMeter) {
            self.pass = copy pass
            tasks = Tasks(on: pass.workers)
            self.meter = meter
        }

        mutating func buffer(_ index: Int, _ length: Int) throws -> Chunk {
            while true {
                if !pass.target.queue.isFull, let chunk = pass.buffers.take(index: index, length: length) {
                    return chunk
                }
                try wait()
            }
        }

        mutating func read(
            _ chunk: Chunk,
            then check: @escaping @Sendable (Mismatches) throws -> Void
        ) throws {
            let count = pass.target.padded(chunk.length)
            let owner = Check(chunk: chunk, body: check)
            try pass.target.queue.add(Transfer(.read, chunk.buffer, count: count, offset: chunk.offset, owner: owner))
        }

        mutating func wait() throws {
            try pass.target.monitor.checkCancelled()
            guard !pass.target.queue.isEmpty else {
                usleep(500)
                return meter.beat()
            }
            guard let check = try pass.target.queue.advance()?.owner as? Check else { return meter.beat() }
            bytes += UInt64(check.chunk.length)
            meter.add(UInt64(check.chunk.length))
            tasks.run { [mismatches] in try check.body(mismatches) }
        }

        mutating func finish() throws -> Outcome {
            while !pass.target.queue.isEmpty { try wait() }
            try tasks.finish()
            meter.finish()
            return Outcome(mismatches: mismatches.sorted, bytesVerified: bytes)
        }
    }

    private final class Check: ChunkHolder {
        let chunk: Chunk
        let body: @Sendable (Mismatches) throws -> Void

        init(chunk: Chunk, body: @escaping @Sendable (Mismatches) throws -> Void) {
            self.chunk = chunk
            self.body = body
        }

        var chunks: [Chunk] { [chunk] }
    }

    /// Found by several threads at once; one for each chunk.
    private final class Mismatches: Sendable {
        private let found = Mutex<[Int: Mismatch]>([:])

        var sorted: [Mismatch] { found.withLock { $0.values.sorted { $0.offset < $1.offset } } }

        func add(_ mismatch: Mismatch?) {
            guard let mismatch else { return }
            found.withLock { $0[mismatch.chunk] = $0[mismatch.chunk] ?? mismatch }
        }

        /// - Parameter endsFault: where other bytes than zeros stand in the place of the ends.
        func note(endsFault: Int?, _ chunk: Chunk) {
            guard let endsFault else { return }
            add(Mismatch(chunk: chunk.index, offset: chunk.offset + UInt64(endsFault), kind: .stale))
        }
    }
}

extension VerifyPass.Ends {
    /// Puts the image's own bytes where the target does not have them, or not yet.
    ///
    /// - Parameter found: read from the target, and ours alone until it is checked.
    /// - Returns: where other bytes stand than have to until then: the first such byte of the chunk.
    fileprivate func put(into found: Chunk) -> Int? {
        let content = unsafe UnsafeMutableRawBufferPointer(rebasing: found.buffer.mutableBytes[..<found.length])
        switch self {
        case .withheld(let ends): return unsafe ends.fill(into: content, at: found.offset)
        case .apart(let ends):
            _ = unsafe ends?.fill(into: content, at: found.offset)
            return nil
        case .restored(let table): return unsafe table.put(into: content, at: found.offset)
        case .whole: return nil
        }
    }

    /// Where the image is read beside the target: what is compared apart counts as right here.
    ///
    /// - Parameter wanted: what the image has; nil for zeros.
    fileprivate func blank(_ found: Chunk, outside body: [Range<UInt64>], with wanted: UnsafeRawBufferPointer?) {
        guard case .apart = self else { return }
        let whole = found.offset..<(found.offset + UInt64(found.length))
        var position = whole.lowerBound
        let parts = body.map { $0.clamped(to: whole) }.filter { !$0.isEmpty }
        for part in parts + [whole.upperBound..<whole.upperBound] {
            for index in Int(position - whole.lowerBound)..<Int(part.lowerBound - whole.lowerBound) {
                unsafe found.buffer.mutableBytes[index] = unsafe wanted?[index] ?? 0
            }
            position = part.upperBound
        }
    }
}

extension Chunk {
    fileprivate var emptyOrUnknown: Mismatch.Kind { unsafe content.isAllZero ? .zeroed : .unknown }
}
