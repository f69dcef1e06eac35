// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model
import Threads

/// A piece of an image in memory: at most 4 MiB, aligned for O_DIRECT. Its buffer returns to the pool by itself when
/// the last holder lets go.
package final class Chunk: Sendable {
    /// Counted from the start of the image, in units of `ByteSize.chunk`.
    package let index: Int
    /// Bytes of content; the buffer behind them is zero up to the next multiple of 4096.
    package let length: Int
    package let buffer: AlignedBuffer
    private let pool: ChunkPool

    package init(index: Int, length: Int, buffer: AlignedBuffer, pool: ChunkPool) {
        self.index = index
        self.length = length
        self.buffer = buffer
        self.pool = pool
    }

    deinit {
        pool.giveBack(buffer)
    }

    /// Bytes from the start of the image.
    package var offset: UInt64 { UInt64(index) * ByteSize.chunk }

    package var content: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[..<length])
    }
}

/// A fixed number of chunk buffers: the bound on the memory of a job.
package final class ChunkPool: Sendable {
    private struct State {
        var free: [AlignedBuffer]
        var closed = false
    }

    private let state: Monitor<State>

    package init(chunks: Int) {
        let buffers = (0..<chunks).map { _ in AlignedBuffer(count: Int(ByteSize.chunk)) }
        state = Monitor(State(free: buffers))
    }

    /// Blocks until a buffer is free.
    ///
    /// - Returns: nil once the pool is closed: whoever would have freed one has given up.
    package func take() -> AlignedBuffer? {
        state.wait { state -> AlignedBuffer?? in
            if state.closed { return .some(nil) }
            return state.free.popLast().map { .some($0) }
        }
    }

    package func takeIfPresent() -> AlignedBuffer? {
        state.update { $0.closed ? nil : $0.free.popLast() }
    }

    package func close() {
        state.update { $0.closed = true }
    }

    fileprivate func giveBack(_ buffer: AlignedBuffer) {
        state.update { $0.free.append(buffer) }
    }
}
