// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Unpacks one compressed format, whole members one after the other. One thread at a time.
protocol Unpacker: AnyObject {
    /// Takes bytes from the front of `input`, puts bytes at the front of `output`.
    ///
    /// - Parameter isLast: nothing comes behind `input`.
    /// - Returns: what it took and put. Both are 0 only when it can go no further.
    /// - Throws: `UnpackerFailure`.
    func unpack(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        isLast: Bool
    ) throws -> UnpackerStep

    /// Whether the format allows the input to end here: all that was begun is complete, and its check sums were right.
    var mayEnd: Bool { get }
}

struct UnpackerStep: Equatable {
    let taken: Int
    let put: Int
}

/// Why compressed bytes are not unpacked. Whoever feeds the unpacker knows the name of the file.
enum UnpackerFailure: Error {
    /// What is wrong with the bytes, in a few words.
    case damaged(String)
    /// Something stands behind the end of the compressed data that does not belong to it.
    case trailingBytes
    /// Unpacking it takes more memory than `UnpackerMemory.limit`.
    case tooMuchMemory
    /// The library refuses to work.
    case unavailable(String)
}

/// How much memory unpacking may take, whatever a file asks for. In bytes.
enum UnpackerMemory {
    /// A dictionary of 128 MiB, which is as much as `zstd -d` takes without being told, and what goes with it. No
    /// preset of xz needs more than 66 MiB.
    static let limit: UInt64 = 136 * ByteSize.mebibyte
    /// Above this, blocks are unpacked one after the other instead of side by side.
    static let threadingLimit: UInt64 = 96 * ByteSize.mebibyte
    /// The window of a zstd frame, as a power of two.
    static let windowLog: Int32 = 27
}

/// For what comes as it is.
final class PlainUnpacker: Unpacker {
    let mayEnd = true

    func unpack(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        isLast: Bool
    ) -> UnpackerStep {
        let count = min(input.count, output.count)
        unsafe output.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
        return UnpackerStep(taken: count, put: count)
    }
}
