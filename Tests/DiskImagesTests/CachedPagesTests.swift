// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model
import TestSupport
import Testing

/// Whoever looks into an image gets memory of its own; whoever only hands it to the kernel gets the kernel's.
@Suite("Pages of an image that are in memory already")
struct CachedPagesTests {
    private static let size = 5 * ByteSize.chunk

    private let folder: TemporaryFolder
    private let source: any RandomAccessSource

    init() async throws {
        folder = try TemporaryFolder()
        let path = folder.file("image")
        // The second chunk begins with zeros, and the fourth is a hole.
        try TestImage.create(
            path,
            size: Self.size,
            data: [
                0..<ByteSize.chunk, (ByteSize.chunk + 4096)..<(3 * ByteSize.chunk), (4 * ByteSize.chunk)..<Self.size,
            ]
        )
        source = try #require(try await ImageReference(path).open().source as? any RandomAccessSource)
    }

    private func chunks(looksInside: Bool...) throws -> [[Bool]] {
        let pass = ReadingPass(source, pool: ChunkPool(chunks: 8))
        let feeds = looksInside.compactMap { pass.join(looksInside: $0) }
        try pass.begin()
        return try feeds.map { feed in
            var found: [Bool] = []
            while true {
                switch try feed.take(upTo: .seconds(10)) {
                case .piece(let piece): if let chunk = piece.chunk { found.append(chunk.place != nil) }
                case .end: return found
                case .detached, .nothingYet: Issue.record("no end")
                }
            }
        }
    }

    @Test("they are handed out to the kernel, but for what may be nothing but zeros")
    func kernel() throws {
        #expect(try chunks(looksInside: false) == [[true, false, true, true]])
    }

    @Test("nobody gets them where one looks inside")
    func inside() throws {
        #expect(try chunks(looksInside: false, true) == [[false, false, false, false], [false, false, false, false]])
    }

    @Test("nobody gets them where the image is hashed")
    func hashed() throws {
        let workers = try WorkerThreads()
        let digests = ChunkDigests(on: workers)
        let pass = ReadingPass(source, pool: ChunkPool(chunks: 8))
        let feed = try #require(pass.join(looksInside: false))
        try pass.begin(hashingInto: digests)
        var pages = 0
        while case .piece(let piece) = try feed.take(upTo: .seconds(10)) {
            pages += piece.chunk?.place != nil ? 1 : 0
        }
        #expect(pages == 0)
        #expect(try digests.finish(imageSize: Self.size).covers(Self.size))
    }

    @Test("they hold what reading gives")
    func content() throws {
        let place = try #require(source.cachedPlace(at: 4 * ByteSize.chunk, count: 8192))
        let pages = AlignedBuffer(count: 8192)
        try unsafe place.read(into: pages.mutableBytes)
        let read = AlignedBuffer(count: 8192)
        try unsafe source.read(into: read.mutableBytes, at: 4 * ByteSize.chunk)
        #expect(unsafe pages.bytes.elementsEqual(read.bytes))
        #expect(source.cachedPlace(at: 1024, count: 4096) == nil)
        #expect(source.cachedPlace(at: Self.size - 4096, count: 8192) == nil)
    }
}
