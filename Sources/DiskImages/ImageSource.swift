// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// Where an image's bytes come from: one file a format.
///
/// A source is a `RandomAccessSource`, which knows its size and where its data is, or a `StreamSource`, which gives its
/// content only from the start to the end.
package protocol ImageSource: Sendable {
    var facts: ImageFacts { get }

    /// Every file that the image is made of, for the rule that a target must not hold its own source.
    var files: [String] { get }

    /// - Throws: `source-changed` when a file is not the one that was opened, or was written to since.
    func confirmUnchanged() throws
}

/// A source of known size whose content can be read in any order, by several threads at once.
package protocol RandomAccessSource: ImageSource {
    /// Of the raw content, in bytes.
    var size: UInt64 { get }

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

    /// Where the same bytes stand in a file, if they are in the kernel's memory and stand together. What begins with zeros
    /// is left out: it may be nothing but zeros.
    ///
    /// - Returns: nil otherwise.
    func cachedPlace(at offset: UInt64, count: Int) -> FilePlace?
}

extension RandomAccessSource {
    package func cachedPlace(at offset: UInt64, count: Int) -> FilePlace? { nil }
}

/// A source that is unpacked or received in order: compressed files, URLs, standard input.
package protocol StreamSource: ImageSource {
    /// Whether `open` may be called again, for another pass from the start.
    var isRepeatable: Bool { get }

    /// Begins a pass from the start.
    ///
    /// - Throws: `not-found`, `bad-image`, `unavailable`.
    func open() throws -> any ImageStream
}

/// One pass over a stream. `read` belongs to one thread; `cancel` may come from any.
package protocol ImageStream: AnyObject, Sendable {
    /// Fills the buffer as far as the content goes; blocks until it is full or the content ends.
    ///
    /// - Returns: how many bytes there were: fewer than asked for only at the end of the content, and then only after
    ///   all that proves the content (check sums, sizes, the digest of the file) was checked.
    /// - Throws: `bad-image`, `digest-mismatch`, `source-changed`.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int

    /// Makes a `read` that waits, and all later ones, throw `interrupted`.
    func cancel()
}

extension RandomAccessSource {
    /// The number of 4 MiB chunks, the last of which may be shorter.
    package var chunkCount: Int { Int(size.roundedUp(to: ByteSize.chunk) / ByteSize.chunk) }

    /// The length of a chunk in bytes.
    package func length(ofChunk index: Int) -> Int {
        Int(min(ByteSize.chunk, size - UInt64(index) * ByteSize.chunk))
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
