// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CBzip2

/// bzip2 streams, by libbz2. Nothing may stand behind the last one.
@safe
final class Bzip2Unpacker: Unpacker {
    private let stream: UnsafeMutablePointer<bz_stream>
    /// Whether `stream` is set up: between two streams of a file it is not.
    private var isInStream = false
    private var streams = 0

    init() {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: bz_stream())
    }

    deinit {
        if isInStream { unsafe BZ2_bzDecompressEnd(stream) }
        unsafe stream.deallocate()
    }

    var mayEnd: Bool { !isInStream && streams > 0 }

    func unpack(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        isLast: Bool
    ) throws -> UnpackerStep {
        if !isInStream {
            guard unsafe !input.isEmpty else { return UnpackerStep(taken: 0, put: 0) }
            unsafe stream.initialize(to: bz_stream())
            guard unsafe BZ2_bzDecompressInit(stream, 0, 0) == BZ_OK else {
                throw UnpackerFailure.unavailable("libbz2")
            }
            isInStream = true
        }
        // SAFETY: both buffers are the caller's for this call, and are set anew each time; libbz2 only reads its input.
        unsafe stream.pointee.next_in = unsafe UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: CChar.self)
        )
        unsafe stream.pointee.avail_in = UInt32(input.count)
        unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: CChar.self)
        unsafe stream.pointee.avail_out = UInt32(output.count)
        let result = unsafe BZ2_bzDecompress(stream)
        let step = UnpackerStep(
            taken: input.count - Int(unsafe stream.pointee.avail_in),
            put: output.count - Int(unsafe stream.pointee.avail_out)
        )
        switch result {
        case BZ_OK: break
        case BZ_STREAM_END:
            unsafe BZ2_bzDecompressEnd(stream)
            isInStream = false
            streams += 1
        case BZ_DATA_ERROR_MAGIC:
            throw streams > 0 ? UnpackerFailure.trailingBytes : .damaged("not bzip2")
        case BZ_MEM_ERROR: throw UnpackerFailure.unavailable("memory")
        default: throw UnpackerFailure.damaged("a block's check sum or its data is wrong")
        }
        return step
    }
}
