// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import PartitionTables
import Synchronization
import Threads

/// Reads an image once, in order, on a thread of its own, and hands every piece to all of its feeds: what many targets
/// get is read and unpacked once.
///
/// The pool bounds how far the fastest feed is ahead of the slowest. One that keeps the others waiting is detached where
/// the source can be read again; otherwise it is waited for, and in the end given up.
package final class ReadingPass: Sendable {
    package struct Settings: Sendable {
        /// The first chunk that is read.
        package var start = 0
        /// Nil reads everything.
        package var wanted: Set<Int>?
        /// How long the slow ones may keep the others waiting, all in all, beyond a twentieth of the time.
        package var patience = Duration.seconds(1)
        /// How long a feed may keep the others waiting when there is no other pass to put it off to.
        package var lastPatience = Duration.seconds(30)

        package init() {}
    }

    private struct State {
        var feeds: [Feed] = []
        /// The chunk that is handed out next.
        var next: Int
        var hasEnded = false
        /// Gets the digest of every piece.
        var digests: ChunkDigests?
        /// How long a fast feed had nothing because a slow one held all buffers.
        var lost = Duration.zero
        var begun = ContinuousClock.now
    }

    private let source: any ImageSource
    private let pool: ChunkPool
    private let settings: Settings
    private let state: Mutex<State>
    private let isCancelled = Atomic<Bool>(false)
    private let stream = Mutex<(any ImageStream)?>(nil)

    /// - Parameter pool: what is read ahead is bounded by its size.
    package init(_ source: any ImageSource, pool: ChunkPool, settings: Settings = Settings()) {
        self.source = source
        self.pool = pool
        self.settings = settings
        state = Mutex(State(next: settings.start))
    }

    /// Adds a reader.
    ///
    /// - Parameters:
    ///   - start: the first chunk that it wants; nil for all.
    ///   - isWaitedFor: the others wait for it, however long it takes.
    ///   - looksInside: false where it only hands what it takes to the kernel, and may be told a place in a file in its
    ///     stead; see `Chunk.place`.
    /// - Returns: nil when the pass has already handed that chunk out.
    package func join(from start: Int? = nil, isWaitedFor: Bool = false, looksInside: Bool = true) -> Feed? {
        state.withLock { state in
            let start = start ?? settings.start
            guard !state.hasEnded, start >= state.next else { return nil }
            let feed = Feed(start: start, isWaitedFor: isWaitedFor, looksInside: looksInside)
            state.feeds.append(feed)
            return feed
        }
    }

    /// Starts to read for one reader alone.
    ///
    /// - Parameter digests: get the digest of every piece.
    package func onlyFeed(hashingInto digests: ChunkDigests? = nil) throws -> Feed {
        guard let feed = join() else { throw FlashlayerError(.fault, "a pass has ended before it began") }
        try begin(hashingInto: digests)
        return feed
    }

    /// Starts to read; feeds that join later may miss the beginning.
    ///
    /// - Parameters:
    ///   - digests: get the digest of every piece.
    ///   - onEnd: is called on the pass's thread once nothing more will come.
    package func begin(
        hashingInto digests: ChunkDigests? = nil,
        onEnd: @escaping @Sendable () -> Void = {}
    ) throws {
        state.withLock { state in
            state.begun = .now
            state.digests = digests
        }
        _ = try OwnThread(named: "read-image") { [self] in
            do {
                let (ends, size) =
                    switch source {
                    case let source as any RandomAccessSource: try read(source)
                    case let source as any StreamSource: try read(source)
                    default: throw FlashlayerError(.fault, "a source that is neither of the two kinds")
                    }
                try source.confirmUnchanged()
                end(.done(ends, imageSize: size))
            } catch {
                end(.failed(error))
            }
            onEnd()
        }
    }

    /// Ends the pass early, whatever it waits for.
    package func cancel() {
        isCancelled.store(true, ordering: .releasing)
        stream.withLock { $0 }?.cancel()
    }

    private func end(_ ending: Feed.Ending) {
        let feeds = state.withLock { state in
            state.hasEnded = true
            return state.feeds
        }
        for feed in feeds { feed.end(ending) }
    }

    // MARK: - Any order

    private func read(_ source: any RandomAccessSource) throws -> (ImageEnds, UInt64) {
        let ends = try source.ends()
        let hasData = source.chunksWithData
        var index = settings.start
        while index < hasData.count {
            try checkCancelled()
            guard settings.wanted?.contains(index) ?? true else {
                index += 1
                continue
            }
            if hasData[index] {
                try deliver(index, of: source, ends)
                index += 1
            } else {
                var last = index
                while last + 1 < hasData.count, !hasData[last + 1], settings.wanted?.contains(last + 1) ?? true {
                    last += 1
                }
                try deliverZeros(index...last, lastLength: source.length(ofChunk: last), isHole: true, ends)
                index = last + 1
            }
        }
        return (ends, source.size)
    }

    /// What nobody here looks into is handed out where the kernel has it: copying costs as much as writing does.
    private func deliver(_ index: Int, of source: any RandomAccessSource, _ ends: ImageEnds) throws {
        let buffer = try buffer()
        let length = source.length(ofChunk: index)
        let offset = UInt64(index) * ByteSize.chunk
        let isForKernel = state.withLock { $0.digests == nil && !$0.feeds.contains(where: \.looksInside) }
        if isForKernel, let place = source.cachedPlace(at: offset, count: length),
            hand(out: Chunk(index: index, length: length, buffer: buffer, place: place, pool: pool), ends)
        {
            return
        }
        try unsafe source.read(
            into: UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<length]),
            at: offset
        )
        try deliver(Chunk(index: index, length: length, buffer: buffer, pool: pool), ends)
    }

    // MARK: - In order only

    /// The last chunk is held back until it is known to be the last: what is withheld reaches into it.
    private func read(_ source: any StreamSource) throws -> (ImageEnds, UInt64) {
        let stream = try source.open()
        self.stream.withLock { $0 = stream }
        // The pass is kept for longer than its reading takes; a window of 128 MiB is not.
        defer { self.stream.withLock { $0 = nil } }
        try checkCancelled()
        // The head is kept by ends of a size that no image has.
        let head = ImageEnds(imageSize: ImageEnds.length)
        var previous: Chunk?
        var index = 0
        var last = ImageEnds(imageSize: ImageEnds.length)
        while true {
            try checkCancelled()
            let buffer = try buffer()
            let count = try unsafe stream.read(into: buffer.mutableBytes)
            let chunk = Chunk(index: index, length: count, buffer: buffer, pool: pool)
            if index == 0 { unsafe head.keep(from: chunk.content, at: 0) }
            guard count < buffer.count else {
                if let previous { try deliverFromStream(previous, head) }
                previous = chunk
                index += 1
                continue
            }
            let size = UInt64(index) * ByteSize.chunk + UInt64(count)
            guard size > 0 else { throw FlashlayerError(.badImage, "the image \(source.facts.path) is empty") }
            last = ImageEnds(imageSize: size)
            unsafe last.keep(from: head.contents[0].bytes, at: 0)
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[count...])
            unsafe rest.initializeMemory(as: UInt8.self, repeating: 0)
            for chunk in [previous, count > 0 ? chunk : nil].compactMap({ $0 }) {
                unsafe last.keep(from: chunk.content, at: chunk.offset)
                try deliverFromStream(chunk, last)
            }
            return (last, size)
        }
    }

    private func deliverFromStream(_ chunk: Chunk, _ ends: ImageEnds) throws {
        guard chunk.index >= settings.start, settings.wanted?.contains(chunk.index) ?? true else { return }
        try deliver(chunk, ends)
    }

    // MARK: - Handing out

    private func deliver(_ chunk: Chunk, _ ends: ImageEnds) throws {
        if unsafe chunk.content.isAllZero {
            return try deliverZeros(chunk.index...chunk.index, lastLength: chunk.length, isHole: false, ends)
        }
        state.withLock { $0.digests }?.add(chunk)
        hand(out: chunk, ends)
    }

    /// - Returns: false where somebody has joined who would look into a chunk that nobody may look into.
    @discardableResult
    private func hand(out chunk: Chunk, _ ends: ImageEnds) -> Bool {
        let range = chunk.offset..<(chunk.offset + UInt64(chunk.length))
        return put(
            ImagePiece(
                content: .data(chunk),
                chunks: chunk.index..<(chunk.index + 1),
                range: range,
                body: ends.without(range)
            )
        )
    }

    private func deliverZeros(
        _ chunks: ClosedRange<Int>,
        lastLength: Int,
        isHole: Bool,
        _ ends: ImageEnds
    ) throws {
        let chunks = chunks.lowerBound..<(chunks.upperBound + 1)
        try state.withLock { $0.digests }?.addZeros(chunks, lastLength: lastLength)
        let start = UInt64(chunks.lowerBound) * ByteSize.chunk
        let range = start..<(UInt64(chunks.upperBound - 1) * ByteSize.chunk + UInt64(lastLength))
        put(ImagePiece(content: .zeros(isHole: isHole), chunks: chunks, range: range, body: ends.without(range)))
    }

    @discardableResult
    private func put(_ piece: ImagePiece) -> Bool {
        let feeds = state.withLock { state -> [Feed]? in
            if piece.chunk?.place != nil, state.feeds.contains(where: \.looksInside) { return nil }
            state.next = piece.chunks.upperBound
            return state.feeds
        }
        for feed in feeds ?? [] { feed.put(piece) }
        return feeds != nil
    }

    private func checkCancelled() throws {
        let isDeserted = state.withLock { state in !state.feeds.isEmpty && !state.feeds.contains(where: \.isOpen) }
        guard isDeserted || isCancelled.load(ordering: .acquiring) else { return }
        throw FlashlayerError(.interrupted, "interrupted")
    }

    /// Blocks until a buffer is free; whoever holds too many of them for too long loses its feed.
    private func buffer() throws -> AlignedBuffer {
        if let buffer = pool.takeIfPresent() { return buffer }
        let start = ContinuousClock.now
        var last = start
        while true {
            let buffer = pool.take(upTo: .milliseconds(50))
            let now = ContinuousClock.now
            relieve(lost: now - last, waiting: now - start)
            last = now
            if let buffer { return buffer }
            try checkCancelled()
        }
    }

    private var isRepeatable: Bool { (source as? any StreamSource)?.isRepeatable ?? true }

    /// Detaches or ends the feeds that the others wait for.
    ///
    /// - Parameters:
    ///   - lost: how long the reader had to wait since it looked the last time.
    ///   - waiting: for how long it waits for one buffer.
    private func relieve(lost: Duration, waiting: Duration) {
        let feeds = state.withLock { $0.feeds.filter(\.isOpen) }
        guard feeds.contains(where: \.isHungry) else { return }
        let isTooMuch = state.withLock { state in
            state.lost += lost
            return state.lost > settings.patience + (ContinuousClock.now - state.begun) / 20
        }
        guard isTooMuch else { return }
        let slow = feeds.filter { !$0.isWaitedFor && $0.backlog >= pool.chunks / 2 }
        if isRepeatable {
            guard !slow.isEmpty else { return }
            state.withLock { $0.lost = .zero }
            for feed in slow { feed.detach() }
        } else if waiting > settings.lastPatience {
            let error = FlashlayerError(
                .tooSlow,
                "it is so much slower than the others that they would have to wait for it",
                advice: "write it alone, or from an image file instead of a stream"
            )
            for feed in slow { feed.end(.failed(error)) }
        }
    }
}

extension RandomAccessSource {
    /// What the image has at its two ends, and around the backup of a GPT that stands elsewhere.
    package func ends() throws -> ImageEnds {
        let head = try filled(ImageEnds(imageSize: size))
        let backup = GUIDPartitionTable.backup(head: head.head, imageSize: size)
        let ends = ImageEnds(imageSize: size, backup: backup)
        return ends.ranges.count > head.ranges.count ? try filled(ends) : head
    }

    private func filled(_ ends: ImageEnds) throws -> ImageEnds {
        for (range, content) in zip(ends.ranges, ends.contents) {
            try unsafe read(
                into: UnsafeMutableRawBufferPointer(rebasing: content.mutableBytes[..<range.count]),
                at: range.lowerBound
            )
        }
        return ends
    }
}
