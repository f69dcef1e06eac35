// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Threads

/// Reads an image on a thread of its own, chunk by chunk and in order, a bounded number ahead of whoever takes them.
package final class ChunkReader: Sendable {
    private let chunks: Mailbox<Chunk>
    private let failure = Monitor<(any Error)?>(nil)
    private let pool: ChunkPool
    private let thread: OwnThread

    /// - Parameters:
    ///   - wanted: for each chunk of the image whether to read it.
    ///   - pool: what is read ahead is bounded by its size.
    package init(_ source: any RandomAccessSource, wanted: [Bool], pool: ChunkPool) throws {
        let chunks = Mailbox<Chunk>(capacity: .max)
        let failure = self.failure
        self.chunks = chunks
        self.pool = pool
        thread = try OwnThread(named: "read-image") {
            defer { chunks.close() }
            do {
                for index in wanted.indices where wanted[index] {
                    guard let buffer = pool.take() else { return }
                    let length = source.length(ofChunk: index)
                    let offset = UInt64(index) * ByteSize.chunk
                    try unsafe source.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<length]),
                        at: offset
                    )
                    if length < buffer.count {
                        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[length...])
                        unsafe rest.initializeMemory(as: UInt8.self, repeating: 0)
                    }
                    guard chunks.put(Chunk(index: index, length: length, buffer: buffer, pool: pool)) else { return }
                }
            } catch {
                failure.update { $0 = error }
            }
        }
    }

    /// The next chunk; blocks until it is read.
    ///
    /// - Returns: nil when all are read.
    /// - Throws: what the source threw.
    package func next() throws -> Chunk? {
        if let chunk = chunks.take() { return chunk }
        try failure.update { if let error = $0 { throw error } }
        return nil
    }

    /// Ends the thread, whatever it waits for. No chunk comes after it.
    package func stop() {
        pool.close()
        chunks.close()
        thread.join()
    }
}
