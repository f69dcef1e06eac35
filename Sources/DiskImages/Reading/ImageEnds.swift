// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// The two ends of an image, which are written last: until they are there, the target has no partition table that any
/// tool would accept, neither the old one nor the new one.
package struct ImageEnds: Sendable {
    /// How much of each end of a target is wiped before anything else is written, in bytes.
    package static let length = ByteSize.mebibyte

    /// The image's first MiB, then its last one or two; on the image, in bytes. The last is missing from an image of
    /// at most one MiB. Between them the MiB, or the few, where the backup of its GPT stands elsewhere than at its end.
    package let ranges: [Range<UInt64>]
    package let contents: [AlignedBuffer]

    /// - Parameter backup: where the header of the GPT's backup stands, in bytes, for an image that can be asked for it.
    package init(imageSize: UInt64, backup: UInt64? = nil) {
        let head = 0..<min(Self.length, imageSize)
        var ranges = [head]
        if imageSize > head.upperBound {
            let aligned = (imageSize - min(Self.length, imageSize)).roundedDown(to: Self.length)
            let last = max(head.upperBound, aligned)..<imageSize
            if let backup, backup >= head.upperBound, backup < last.lowerBound {
                // Its entries are before it.
                let start = max(head.upperBound, (backup - Self.length / 2).roundedDown(to: Self.length))
                ranges.append(start..<min(last.lowerBound, (backup + 1).roundedUp(to: Self.length)))
            }
            ranges.append(last)
        }
        self.ranges = ranges
        contents = ranges.map { AlignedBuffer(count: $0.count) }
    }

    /// The first MiB of the image, or less where that is all.
    package var head: [UInt8] { unsafe Array(contents[0].bytes[..<ranges[0].count]) }

    /// Remembers what the image has there.
    package func keep(from chunk: UnsafeRawBufferPointer, at offset: UInt64) {
        for (range, content) in zip(ranges, contents) {
            let common = range.clamped(to: offset..<(offset + UInt64(chunk.count)))
            guard !common.isEmpty else { continue }
            let source = unsafe chunk[Int(common.lowerBound - offset)..<Int(common.upperBound - offset)]
            let destination = unsafe content.mutableBytes[Int(common.lowerBound - range.lowerBound)...]
            unsafe UnsafeMutableRawBufferPointer(rebasing: destination)
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: source))
        }
    }

    /// Puts the image's ends into a chunk that was read from the target before they were written there.
    ///
    /// - Returns: where the target did not hold zeros in their place: the first such byte of the chunk.
    package func fill(into chunk: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int? {
        var wrong: Int?
        for (range, content) in zip(ranges, contents) {
            let common = range.clamped(to: offset..<(offset + UInt64(chunk.count)))
            guard !common.isEmpty else { continue }
            let first = Int(common.lowerBound - offset)
            let destination = unsafe UnsafeMutableRawBufferPointer(
                rebasing: chunk[first..<Int(common.upperBound - offset)]
            )
            if wrong == nil, !UnsafeRawBufferPointer(destination).isAllZero {
                wrong = unsafe destination.firstIndex { $0 != 0 }.map { first + $0 }
            }
            let start = Int(common.lowerBound - range.lowerBound)
            unsafe destination.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: content.bytes[start..<(start + common.count)])
            )
        }
        return wrong
    }

    /// What of a range is written in the first pass: the range without the ends.
    package func without(_ range: Range<UInt64>) -> [Range<UInt64>] {
        ranges.reduce([range]) { rest, withheld in
            rest.flatMap { part -> [Range<UInt64>] in
                let before = part.lowerBound..<min(part.upperBound, max(part.lowerBound, withheld.lowerBound))
                let after = max(part.lowerBound, min(part.upperBound, withheld.upperBound))..<part.upperBound
                return part.overlaps(withheld) ? [before, after].filter { !$0.isEmpty } : [part]
            }
        }
    }
}
