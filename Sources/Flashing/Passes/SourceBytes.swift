// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model

extension RandomAccessSource {
    /// A few bytes, wherever they stand.
    func bytes(_ range: Range<UInt64>) throws -> [UInt8] {
        guard !range.isEmpty else { return [] }
        let start = range.lowerBound.roundedDown(to: UInt64(AlignedBuffer.alignment))
        let buffer = AlignedBuffer(count: Int(range.upperBound - start))
        let length = Int(min(UInt64(buffer.count), size - start))
        try unsafe read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<length]), at: start)
        let first = Int(range.lowerBound - start)
        return unsafe Array(buffer.bytes[first..<(first + range.count)])
    }
}
