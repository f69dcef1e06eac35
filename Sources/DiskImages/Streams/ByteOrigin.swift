// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Synchronization

/// Where the bytes of a stored image come from, compressed or not: a file, a pipe, a server.
protocol ByteOrigin: Sendable {
    /// For messages and for what is shown: never with a password.
    var name: String { get }

    /// The local files that the bytes come from.
    var files: [String] { get }

    /// As stored, in bytes; nil when only the end tells.
    var size: UInt64? { get }

    /// Whether `begin` may be called again.
    var isRepeatable: Bool { get }

    /// Begins a pass from the first byte.
    ///
    /// - Throws: `not-found`, `bad-image`, `unavailable`, `source-changed`.
    func begin() throws -> any ByteStream

    /// - Throws: `source-changed`.
    func confirmUnchanged() throws
}

/// One pass over stored bytes. `read` belongs to one thread; `cancel` may come from any.
protocol ByteStream: AnyObject, Sendable {
    /// Bytes of the file that were read.
    var position: UInt64 { get }

    /// Blocks until there is a byte, or none comes any more.
    ///
    /// - Returns: how many bytes there were; 0 only at the proper end: what broke off throws.
    /// - Throws: `bad-image`, `source-changed`, `interrupted`.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int

    /// Makes a `read` that waits, and all later ones, throw `interrupted`.
    func cancel()
}

/// A local file, read through the page cache: the kernel reads ahead.
final class FileOrigin: ByteOrigin {
    private let file: ImageFile

    init(_ file: ImageFile) {
        self.file = file
    }

    var name: String { file.path }
    var files: [String] { [file.path] }
    var size: UInt64? { file.size }
    var isRepeatable: Bool { true }

    func begin() -> any ByteStream {
        FileBytes(file)
    }

    func confirmUnchanged() throws {
        try file.confirmUnchanged()
    }

    /// Fills the buffer from any place that the file has.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        try unsafe file.readCached(into: buffer, at: offset)
    }
}

private final class FileBytes: ByteStream, @unchecked Sendable {
    // SAFETY: `position` is of the one thread that reads.
    private(set) var position: UInt64 = 0
    private let file: ImageFile
    private let isCancelled = Atomic(false)

    init(_ file: ImageFile) {
        self.file = file
        file.expectReadingInOrder()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard !isCancelled.load(ordering: .acquiring) else { throw FlashlayerError(.interrupted, "interrupted") }
        let count = Int(min(UInt64(buffer.count), file.size - position))
        guard count > 0 else {
            // Whatever was added behind the end would be missing from what was read.
            try file.confirmUnchanged()
            return 0
        }
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try unsafe file.readCached(into: part, at: position)
        position += UInt64(count)
        return count
    }

    func cancel() {
        isCancelled.store(true, ordering: .releasing)
    }
}
