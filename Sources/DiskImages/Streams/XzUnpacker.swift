// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLzma
import Glibc

/// xz streams, by liblzma's threaded decoder: the blocks of a file that has several are unpacked side by side as far as
/// memory allows. Padding between and behind streams is zero bytes, a multiple of four of them.
@safe
final class XzUnpacker: Unpacker {
    /// More help little: whoever waits for the content takes it on one thread.
    private static let mostThreads = 8

    private let stream: UnsafeMutablePointer<lzma_stream>
    private(set) var mayEnd = false

    init() throws {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: lzma_stream())
        var options = unsafe lzma_mt()
        unsafe options.flags = flashlayer_lzma_concatenated
        unsafe options.threads = UInt32(max(1, min(Self.mostThreads, sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        unsafe options.memlimit_threading = UnpackerMemory.threadingLimit
        unsafe options.memlimit_stop = UnpackerMemory.limit
        guard unsafe lzma_stream_decoder_mt(stream, &options) == LZMA_OK else {
            unsafe stream.deallocate()
            throw UnpackerFailure.unavailable("liblzma")
        }
    }

    deinit {
        unsafe lzma_end(stream)
        unsafe stream.deallocate()
    }

    func unpack(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        isLast: Bool
    ) throws -> UnpackerStep {
        if mayEnd {
            guard unsafe input.isEmpty else { throw UnpackerFailure.trailingBytes }
            return UnpackerStep(taken: 0, put: 0)
        }
        // SAFETY: both buffers are the caller's for this call, and are set anew each time; the decoder's threads work
        // on copies of their own.
        unsafe stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_in = input.count
        unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = output.count
        switch unsafe lzma_code(stream, isLast ? LZMA_FINISH : LZMA_RUN) {
        case LZMA_OK: break
        // With LZMA_CONCATENATED only at the very end, all check sums and indexes compared.
        case LZMA_STREAM_END: mayEnd = true
        // No progress twice: the caller sees that from the step.
        case LZMA_BUF_ERROR: break
        case LZMA_MEMLIMIT_ERROR: throw UnpackerFailure.tooMuchMemory
        case LZMA_MEM_ERROR: throw UnpackerFailure.unavailable("memory")
        case LZMA_OPTIONS_ERROR: throw UnpackerFailure.damaged("it uses a filter that liblzma does not know")
        case LZMA_FORMAT_ERROR: throw UnpackerFailure.damaged("not xz")
        default: throw UnpackerFailure.damaged("its data, its check sums or what stands behind them is wrong")
        }
        return UnpackerStep(
            taken: input.count - Int(unsafe stream.pointee.avail_in),
            put: output.count - Int(unsafe stream.pointee.avail_out)
        )
    }
}
