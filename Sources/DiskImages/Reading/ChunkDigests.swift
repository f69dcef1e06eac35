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
        guard list.withLock({ $0[chunk.index] == nil }) else { return }
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
    ///
    /// - Throws: `fault` unless it is every chunk of an image of that size: what was not hashed is not proved.
    package func finish(imageSize: UInt64) throws -> ChunkDigestList {
        try tasks.finish()
        let list = list.withLock { $0 }
        guard list.covers(imageSize) else { throw FlashlayerError(.fault, "a chunk of the image was not hashed") }
        return list
    }
}

/// The digests of an image's chunks. Those of zeros take no room: a disk of many terabytes has millions of them.
package struct ChunkDigestList: Sendable {
    /// Of each chunk whether its digest is known.
    private var isKnown: [Bool] = []
    private var data: [Int: Digest] = [:]
    private var wholeZeros: Digest?

    fileprivate init() {}

    package init(_ digests: [Digest]) {
        for (index, digest) in digests.enumerated() { set(digest, at: index) }
    }

    /// nil where it is not known.
    package subscript(index: Int) -> Digest? {
        isKnown.indices.contains(index) && isKnown[index] ? data[index] ?? wholeZeros : nil
    }

    /// Of the image whose chunks these are.
    ///
    /// - Throws: `fault` where the digest of a chunk is not known.
    package var imageDigest: ImageDigest {
        get throws {
            try ImageDigest(count: isKnown.count) { index in
                guard let digest = self[index] else {
                    throw FlashlayerError(.fault, "a chunk of the image was not hashed")
                }
                return digest
            }
        }
    }

    package var all: some Sequence<Digest> { isKnown.indices.lazy.compactMap { self[$0] } }

    /// Whether it has a digest for every chunk of an image of so many bytes, and for no other.
    package func covers(_ imageSize: UInt64) -> Bool {
        UInt64(isKnown.count) == imageSize.roundedUp(to: ByteSize.chunk) / ByteSize.chunk && isKnown.allSatisfy { $0 }
    }

    fileprivate mutating func set(_ digest: Digest, at index: Int) {
        data[index] = digest
        know(index..<(index + 1))
    }

    private mutating func know(_ chunks: Range<Int>) {
        if isKnown.count < chunks.upperBound {
            isKnown += repeatElement(false, count: chunks.upperBound - isKnown.count)
        }
        for index in chunks { isKnown[index] = true }
    }

    fileprivate mutating func addZeros(_ chunks: Range<Int>, lastLength: Int) throws {
        know(chunks)
        if chunks.count > 1 || lastLength == Int(ByteSize.chunk), wholeZeros == nil {
            wholeZeros = try ImageDigest.zeros(ByteSize.chunk)
        }
        if lastLength < Int(ByteSize.chunk) {
            data[chunks.upperBound - 1] = try ImageDigest.zeros(UInt64(lastLength))
        }
    }
}
