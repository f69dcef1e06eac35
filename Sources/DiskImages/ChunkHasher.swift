// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import Model
import Synchronization
import Threads

/// Computes chunk digests on threads of its own, so that neither reading nor writing waits for SHA-256.
package final class ChunkHasher: Sendable {
    /// SHA-256 runs at 1.9 GB/s a core; two threads keep up with the fastest device that two cores can feed.
    private static let threadCount = 2

    private let work = Mailbox<Chunk>(capacity: .max)
    private let results: Results
    private let threads: [OwnThread]

    private final class Results: Sendable {
        let digests: Mutex<[Digest?]>
        let failure = Mutex<(any Error)?>(nil)
        private let zeroDigests = Mutex<[Int: Digest]>([:])

        init(count: Int) {
            digests = Mutex(Array(repeating: nil, count: count))
        }

        /// The digest of so many zero bytes, computed once: most of an image is zeros.
        func zeros(_ length: Int) throws -> Digest {
            try zeroDigests.withLock { known in
                if let digest = known[length] { return digest }
                let digest = try ImageDigest.zeros(UInt64(length))
                known[length] = digest
                return digest
            }
        }
    }

    /// - Parameters:
    ///   - chunks: how many the image has.
    ///   - inspect: is given each chunk on the thread that hashes it, several at once; what it throws, `finish` throws.
    package init(chunks: Int, inspect: @escaping @Sendable (Chunk) throws -> Void = { _ in }) throws {
        let results = Results(count: chunks)
        let work = self.work
        self.results = results
        threads = try (0..<Self.threadCount).map { _ in
            try OwnThread(named: "hash-chunks") {
                while let chunk = work.take() {
                    do {
                        try inspect(chunk)
                        let digest =
                            unsafe chunk.content.isAllZero
                            ? try results.zeros(chunk.length) : try SHA256.digest(of: chunk.content)
                        results.digests.withLock { $0[chunk.index] = digest }
                    } catch {
                        results.failure.withLock { $0 = error }
                    }
                }
            }
        }
    }

    deinit {
        work.close()
    }

    /// Takes the chunk's digest later. Memory is bounded by the pool that the chunk comes from.
    package func hash(_ chunk: Chunk) {
        work.put(chunk)
    }

    /// Notes a chunk of zeros, which is hashed once for each length.
    package func setZeros(index: Int, length: Int) throws {
        let digest = try results.zeros(length)
        results.digests.withLock { $0[index] = digest }
    }

    /// Waits for all that was handed in.
    ///
    /// - Throws: `fault` when a chunk is missing.
    package func finish() throws -> [Digest] {
        work.close()
        for thread in threads { thread.join() }
        if let failure = results.failure.withLock({ $0 }) { throw failure }
        return try results.digests.withLock { digests in
            try digests.map {
                guard let digest = $0 else { throw FlashlayerError(.fault, "a chunk of the image was not hashed") }
                return digest
            }
        }
    }
}
