// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model
import Synchronization
import Threads

/// A piece of an image in memory: at most 4 MiB, aligned for O_DIRECT. Its buffer returns to the pool by itself when
/// the last holder lets go.
package final class Chunk: Sendable {
    /// Counted from the start of the image, in units of `ByteSize.chunk`.
    package let index: Int
    /// Bytes of content; the buffer behind them is zero up to the next multiple of 4096.
    package let length: Int
    package let buffer: AlignedBuffer
    /// Where the bytes are instead: the buffer has none of them then, and is for whoever has to copy them.
    package let place: FilePlace?
    private let pool: ChunkPool
    private let onRelease: (@Sendable () -> Void)?
    private let isLost = Atomic<Bool>(false)

    /// - Parameters:
    ///   - buffer: from the pool.
    ///   - place: where the bytes are, if not there.
    ///   - onRelease: is called when the buffer is back in the pool.
    package init(
        index: Int,
        length: Int,
        buffer: AlignedBuffer,
        place: FilePlace? = nil,
        pool: ChunkPool,
        onRelease: (@Sendable () -> Void)? = nil
    ) {
        self.index = index
        self.length = length
        self.buffer = buffer
        self.place = place
        self.pool = pool
        self.onRelease = onRelease
    }

    deinit {
        pool.giveBack(buffer)
        onRelease?()
    }

    /// Bytes from the start of the image.
    package var offset: UInt64 { UInt64(index) * ByteSize.chunk }

    /// Nobody ever gets its buffer again: a device that does not answer may still read it, or write into it. The pool gets
    /// another in its place, so that those who go on do not starve. Whoever says so keeps the chunk for ever.
    package func lose() {
        if isLost.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged {
            pool.makeUpForOne()
        }
    }

    package var content: UnsafeRawBufferPointer {
        precondition(place == nil, "what stands in a file was looked into")
        return unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[..<length])
    }
}

/// A fixed number of chunk buffers: the bound on the memory of a job.
package final class ChunkPool: Sendable {
    private struct State {
        var free: [AlignedBuffer]
        var closed = false
    }

    package let arena: BufferArena
    private let state: Monitor<State>

    package init(chunks: Int) {
        let arena = BufferArena(buffers: chunks, of: Int(ByteSize.chunk))
        self.arena = arena
        // The first ones last: memory is touched only as far as it is needed.
        state = Monitor(State(free: (0..<chunks).reversed().map { arena.buffer($0) }))
    }

    package var chunks: Int { arena.buffers }

    /// How many buffers somebody holds: none once a job is over, or something leaks.
    package var inUse: Int { arena.buffers - state.update { $0.free.count } }

    fileprivate func makeUpForOne() {
        state.update { $0.free.append(AlignedBuffer(count: Int(ByteSize.chunk))) }
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

    /// Blocks until a buffer is free, but not for ever.
    package func take(upTo limit: Duration) -> AlignedBuffer? {
        state.wait(upTo: limit) { state in state.closed ? nil : state.free.popLast() }
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
