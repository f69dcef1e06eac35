// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import Model
import Synchronization

/// Computes the digest of each chunk of an image once, on threads of its own.
package final class ChunkDigests: Sendable {
    private let tasks: Tasks
    private let list = Mutex(ChunkDigestList())

    package init(on workers: WorkerThreads) {
        tasks = Tasks(on: workers)
    }

    /// Takes the chunk's digest later, unless it is known.
    package func add(_ chunk: Chunk) {
        guard list.withLock({ $0.data[chunk.index] == nil }) else { return }
        tasks.run { [self] in
            let digest = try unsafe SHA256.digest(of: chunk.content)
            list.withLock { $0.set(digest, at: chunk.index) }
        }
    }

    /// Notes chunks of zeros, which are hashed once for each length.
    ///
    /// - Parameter lastLength: of the last one, in bytes; all others are whole.
    package func addZeros(_ chunks: Range<Int>, lastLength: Int) throws {
        try list.withLock { try $0.addZeros(chunks, lastLength: lastLength) }
    }

    /// Waits for all that was handed in.
    package func finish() throws -> ChunkDigestList {
        try tasks.finish()
        return list.withLock { $0 }
    }
}

/// The digests of an image's chunks. Those of zeros take no room: a disk of many terabytes has millions of them.
package struct ChunkDigestList: Sendable {
    package private(set) var count = 0
    fileprivate var data: [Int: Digest] = [:]
    private var wholeZeros: Digest?

    fileprivate init() {}

    package init(_ digests: [Digest]) {
        for (index, digest) in digests.enumerated() { set(digest, at: index) }
    }

    /// - Precondition: the chunk was hashed, or is of zeros.
    package subscript(index: Int) -> Digest? { data[index] ?? wholeZeros }

    package var all: some Sequence<Digest> { (0..<count).lazy.compactMap { self[$0] } }

    fileprivate mutating func set(_ digest: Digest, at index: Int) {
        data[index] = digest
        count = max(count, index + 1)
    }

    fileprivate mutating func addZeros(_ chunks: Range<Int>, lastLength: Int) throws {
        count = max(count, chunks.upperBound)
        if chunks.count > 1 || lastLength == Int(ByteSize.chunk), wholeZeros == nil {
            wholeZeros = try ImageDigest.zeros(ByteSize.chunk)
        }
        if lastLength < Int(ByteSize.chunk) {
            data[chunks.upperBound - 1] = try ImageDigest.zeros(UInt64(lastLength))
        }
    }
}
