// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Bytes that stand in a file as they are wanted, and are in the kernel's memory: they can go to a device without
/// passing through ours; see splice(2). Whoever has the place keeps the file open.
package struct FilePlace: Sendable {
    private let file: ImageFile
    /// In the file, in bytes.
    package let offset: UInt64

    init(in file: ImageFile, at offset: UInt64) {
        self.file = file
        self.offset = offset
    }

    /// Of the file, opened for reading through the page cache.
    package var descriptor: Int32 { file.cachedDescriptor }

    /// The same file, `count` bytes further.
    package func advanced(by count: Int) -> FilePlace {
        FilePlace(in: file, at: offset + UInt64(count))
    }

    /// Copies the bytes, where the kernel would not hand them over.
    ///
    /// - Throws: `bad-image` when the file ends too early or cannot be read.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws {
        try unsafe file.readCached(into: buffer, at: offset)
    }
}
