// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// Where an image's bytes are read from: one file a format.
package protocol ImageSource: Sendable {
    var facts: ImageFacts { get }

    /// Every file that the image is made of, for the rule that a target must not hold its own source.
    var files: [String] { get }

    /// The whole image in order, without gaps.
    var extents: [Extent] { get }

    /// Fills the buffer with raw content.
    ///
    /// - Parameters:
    ///   - buffer: aligned to `AlignedBuffer.alignment`; its length is what is wanted.
    ///   - offset: bytes from the start of the raw content, a multiple of 4096.
    /// - Throws: `bad-image` when the file ends before its content does; `io-error`-like failures as `bad-image` too,
    ///   since what cannot be read cannot be written.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws

    /// - Throws: `source-changed` when a file is not the one that was opened, or was written to since.
    func confirmUnchanged() throws
}

extension ImageSource {
    /// The number of 4 MiB chunks, the last of which may be shorter.
    package var chunkCount: Int { Int(facts.size.roundedUp(to: ByteSize.chunk) / ByteSize.chunk) }

    /// The length of a chunk in bytes.
    package func length(ofChunk index: Int) -> Int {
        Int(min(ByteSize.chunk, facts.size - UInt64(index) * ByteSize.chunk))
    }

    /// For each chunk whether anything in it has to be read: false means that it is a hole from end to end.
    package var chunksWithData: [Bool] {
        var data = [Bool](repeating: false, count: chunkCount)
        for extent in extents where extent.kind == .data && extent.length > 0 {
            let first = Int(extent.offset / ByteSize.chunk)
            let last = Int((extent.end - 1) / ByteSize.chunk)
            for index in first...last { data[index] = true }
        }
        return data
    }
}
