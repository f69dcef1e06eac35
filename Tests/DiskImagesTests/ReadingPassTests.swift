// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import TestSupport
import Testing

@testable import DiskImages

@Suite("Reading an image once for many")
struct ReadingPassTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// Eight chunks of data, then four of a hole, then a piece of one.
    private func source() async throws -> any RandomAccessSource {
        let path = folder.file("image.raw")
        try TestImage.create(path, size: (48 << 20) + 99, data: [0..<(32 << 20), (48 << 20)..<((48 << 20) + 99)])
        return try #require(try await ImageReference(path).open().source as? any RandomAccessSource)
    }

    /// Takes everything that a feed gives, a little late each time.
    private func drain(_ feed: Feed, delay: Duration = .zero, limit: Int = .max) async throws -> (
        chunks: [Range<Int>], last: Feed.Item
    ) {
        var chunks: [Range<Int>] = []
        while chunks.count < limit {
            let item = try feed.take(upTo: .milliseconds(20))
            switch item {
            case .piece(let piece): chunks.append(piece.chunks)
            case .nothingYet: break
            case .end, .detached: return (chunks, item)
            }
            try await Task.sleep(for: delay)
        }
        return (chunks, .nothingYet)
    }

    @Test("every feed gets every piece, in order, and a hole as one piece; then all buffers are back")
    func everything() async throws {
        let pool = ChunkPool(chunks: 4)
        let pass = ReadingPass(try await source(), pool: pool)
        let feeds = (0..<3).compactMap { _ in pass.join() }
        try pass.begin()
        try await withThrowingTaskGroup { group in
            for feed in feeds { group.addTask { try await drain(feed).chunks } }
            for try await chunks in group {
                #expect(chunks == (0..<8).map { $0..<($0 + 1) } + [8..<12, 12..<13])
            }
        }
        #expect(pool.inUse == 0)
    }

    @Test("who keeps the others waiting is put off, and told where to go on")
    func laggard() async throws {
        let pool = ChunkPool(chunks: 4)
        var settings = ReadingPass.Settings()
        settings.patience = .milliseconds(50)
        let source = try await source()
        let pass = ReadingPass(source, pool: pool, settings: settings)
        let fast = try #require(pass.join())
        let slow = try #require(pass.join())
        try pass.begin()
        let (first, _) = try await drain(slow, limit: 1)
        #expect(first == [0..<1])
        let (chunks, _) = try await drain(fast)
        #expect(chunks.count == 10)
        guard case .detached(let index) = try await drain(slow).last else {
            Issue.record("the slow one was not put off")
            return
        }
        #expect(index == 1)
        // A later pass gives it the rest; another one that is further on takes part in it.
        settings.start = index
        settings.patience = .seconds(600)
        let later = ReadingPass(source, pool: pool, settings: settings)
        let rest = try #require(later.join())
        let further = try #require(later.join(from: 5))
        #expect(later.join(from: 0) == nil)
        try later.begin()
        async let one = drain(rest)
        async let other = drain(further)
        #expect(try await one.chunks.first == 1..<2)
        #expect(try await other.chunks.first == 5..<6)
        #expect(pool.inUse == 0)
    }

    @Test("a pass that nobody listens to any more ends")
    func deserted() async throws {
        let pool = ChunkPool(chunks: 2)
        let pass = ReadingPass(try await source(), pool: pool)
        let feed = try #require(pass.join())
        let ended = AsyncStream<Void>.makeStream()
        try pass.begin { ended.continuation.finish() }
        feed.close()
        for await _ in ended.stream {}
        #expect(pool.inUse == 0)
    }
}
