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

    package init(count: Int) {
        self.count = Int(UInt64(count).roundedUp(to: UInt64(Self.alignment)))
        unsafe start = .allocate(byteCount: self.count, alignment: Self.alignment)
        unsafe memset(start, 0, self.count)
    }

    deinit {
        unsafe start.deallocate()
    }

    // SAFETY: the memory lives as long as this object; callers keep the object for as long as they use the pointers.
    package var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: start, count: count) }
    package var mutableBytes: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: start, count: count)
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
