// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Testing

@testable import DiskImages

@Suite("The ends of an image, which are written last")
struct ImageEndsTests {
    private static let sizes: [UInt64] = [
        1, 512, 1 << 20, (1 << 20) + 1, 2 << 20, (2 << 20) + 512, 3 << 20, 4 << 20, (4 << 20) + 1, (64 << 20) + 4097,
    ]

    @Test("every byte is either written first or withheld, never both", arguments: sizes)
    func partition(size: UInt64) {
        let ends = ImageEnds(imageSize: size)
        let first = ends.without(0..<size)
        let all = (first + ends.ranges).sorted { $0.lowerBound < $1.lowerBound }
        var position: UInt64 = 0
        for range in all {
            #expect(range.lowerBound == position)
            position = range.upperBound
        }
        #expect(position == size)
    }

    @Test(
        "both ends of a GPT are withheld: 34 sectors at the start, 33 at the end, of 512 and 4096 bytes",
        arguments: sizes
    )
    func coversTables(size: UInt64) {
        let ends = ImageEnds(imageSize: size)
        let withheld = { (position: UInt64) in ends.ranges.contains { $0.contains(position) } }
        for position in [0, 512, 4096, 34 * 512, 6 * 4096] as [UInt64] where position < size {
            #expect(withheld(position))
        }
        for distance in [1, 512, 33 * 512, 6 * 4096] as [UInt64] where distance <= size {
            #expect(withheld(size - distance))
        }
        #expect(ends.ranges.allSatisfy { $0.lowerBound % 4096 == 0 })
    }

    @Test("what is kept comes back where it belongs")
    func roundTrip() {
        let size: UInt64 = (5 << 20) + 700
        let ends = ImageEnds(imageSize: size)
        let chunks = stride(from: 0, to: size, by: 4 << 20).map { start in
            (start, AlignedBuffer(count: Int(min(4 << 20, size - start))))
        }
        for (start, buffer) in chunks {
            let length = Int(min(4 << 20, size - start))
            for position in 0..<length {
                unsafe buffer.mutableBytes[position] = UInt8(truncatingIfNeeded: (start + UInt64(position)) / 3 | 1)
            }
            unsafe ends.keep(from: UnsafeRawBufferPointer(rebasing: buffer.bytes[..<length]), at: start)
        }
        for (start, buffer) in chunks {
            let length = Int(min(4 << 20, size - start))
            let copy = AlignedBuffer(count: length)
            let range = start..<(start + UInt64(length))
            for part in ends.without(range) {
                for position in part {
                    unsafe copy.mutableBytes[Int(position - start)] = buffer.bytes[Int(position - start)]
                }
            }
            let content = unsafe UnsafeMutableRawBufferPointer(rebasing: copy.mutableBytes[..<length])
            #expect(unsafe ends.fill(into: content, at: start) == nil)
            #expect(unsafe copy.bytes[..<length].elementsEqual(buffer.bytes[..<length]))
            // A second time the place is taken: a target that holds anything there is told.
            let overlaps = ends.ranges.contains { $0.overlaps(range) }
            #expect((unsafe ends.fill(into: content, at: start) == nil) == !overlaps)
        }
    }
}
