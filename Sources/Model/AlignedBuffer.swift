// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// Zeroed memory aligned to 4096 bytes, as O_DIRECT wants it; see open(2).
///
/// Whoever fills it is the only one to hold it; once it is shared, it is only read.
@safe
package final class AlignedBuffer: @unchecked Sendable {
    package static let alignment = 4096

    private let start: UnsafeMutableRawPointer
    /// Bytes; a multiple of the alignment.
    package let count: Int
    /// The memory that this buffer is a part of; nil when it owns its own.
    package let arena: BufferArena?

    /// A chunk of zeros that everybody shares, and nobody writes into.
    package static let zeros = AlignedBuffer(count: Int(ByteSize.chunk))

    package init(count: Int) {
        self.count = Int(UInt64(count).roundedUp(to: UInt64(Self.alignment)))
        // Straight from the kernel, and back: malloc(3) keeps what many threads have freed, a heap for each.
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        let pages = unsafe mmap(nil, max(self.count, Self.alignment), PROT_READ | PROT_WRITE, flags, -1, 0)
        guard let pages = unsafe pages, unsafe pages != MAP_FAILED else { preconditionFailure("no memory is left") }
        unsafe start = pages
        arena = nil
    }

    fileprivate init(count: Int, at start: UnsafeMutableRawPointer, in arena: BufferArena) {
        self.count = count
        unsafe self.start = start
        self.arena = arena
    }

    deinit {
        if arena == nil { unsafe munmap(start, max(count, Self.alignment)) }
    }

    // SAFETY: the memory lives as long as this object; callers keep the object for as long as they use the pointers.
    package var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: start, count: count) }
    package var mutableBytes: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: start, count: count)
    }
}

/// One piece of memory that many buffers are cut from, so that the kernel can be told of all of them at once.
@safe
package final class BufferArena: @unchecked Sendable {
    private static let hugePage = 2 << 20

    private let start: UnsafeMutableRawPointer
    /// Bytes of one buffer.
    private let stride: Int
    package let buffers: Int

    /// - Parameters:
    ///   - buffers: how many there are.
    ///   - count: bytes of each, a multiple of the alignment.
    package init(buffers: Int, of count: Int) {
        self.buffers = buffers
        stride = count
        // Not touched here: memory that is never used costs nothing. Huge pages make the kernel's work shorter.
        unsafe start = .allocate(byteCount: buffers * count, alignment: Self.hugePage)
        _ = unsafe madvise(start, buffers * count, MADV_HUGEPAGE)
    }

    deinit {
        unsafe start.deallocate()
    }

    /// One buffer of it; whoever asks twice for the same index has two names for the same memory.
    package func buffer(_ index: Int) -> AlignedBuffer {
        unsafe AlignedBuffer(count: stride, at: start + index * stride, in: self)
    }

    // SAFETY: the memory lives as long as this object.
    package var memory: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: start, count: buffers * stride)
    }
}

extension UnsafeRawBufferPointer {
    /// True when every byte is zero. Runs at the speed of memory: whole words, eight at a time.
    package var isAllZero: Bool {
        let words = count / 64
        for block in 0..<words {
            var any: UInt64 = 0
            for word in 0..<8 {
                any |= unsafe loadUnaligned(fromByteOffset: block * 64 + word * 8, as: UInt64.self)
            }
            if any != 0 { return false }
        }
        return unsafe self[(words * 64)...].allSatisfy { $0 == 0 }
    }
}
