// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CZstd

/// zstd frames, by libzstd; see RFC 8878. Skippable frames are skipped, wherever they stand.
@safe
final class ZstdUnpacker: Unpacker {
    private let context: OpaquePointer
    private(set) var mayEnd = false

    init() throws {
        guard let context = unsafe ZSTD_createDCtx() else { throw UnpackerFailure.unavailable("libzstd") }
        unsafe self.context = context
        unsafe ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, UnpackerMemory.windowLog)
    }

    deinit {
        unsafe ZSTD_freeDCtx(context)
    }

    func unpack(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        isLast: Bool
    ) throws -> UnpackerStep {
        // Between two frames there is nothing that a call without input could put out.
        if unsafe input.isEmpty && mayEnd { return UnpackerStep(taken: 0, put: 0) }
        // SAFETY: both buffers are the caller's for this call; libzstd keeps no pointer into them.
        var source = unsafe ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = unsafe ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
        let result = unsafe ZSTD_decompressStream(context, &target, &source)
        guard ZSTD_isError(result) == 0 else {
            switch ZSTD_getErrorCode(result) {
            case ZSTD_error_frameParameter_windowTooLarge: throw UnpackerFailure.tooMuchMemory
            case ZSTD_error_prefix_unknown where mayEnd: throw UnpackerFailure.trailingBytes
            case ZSTD_error_memory_allocation: throw UnpackerFailure.unavailable("memory")
            case ZSTD_error_dictionary_wrong: throw UnpackerFailure.damaged("it needs a dictionary")
            default:
                let name = unsafe ZSTD_getErrorName(result).map { unsafe String(cString: $0) }
                throw UnpackerFailure.damaged(name ?? "not zstd")
            }
        }
        // 0: a frame is complete and all of it was put out; see ZSTD_decompressStream in zstd.h.
        mayEnd = result == 0
        return unsafe UnpackerStep(taken: source.pos, put: target.pos)
    }
}
