// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CZlib
import Model

/// gzip members, by zlib; see RFC 1952. Zero bytes behind the last member are padding, as gzip(1) has it.
@safe
final class GzipUnpacker: Unpacker {
    private enum Place {
        case betweenMembers, inMember, inPadding
    }

    private let stream: UnsafeMutablePointer<z_stream>
    private var place = Place.betweenMembers
    private var members = 0

    init() throws {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        guard unsafe flashlayer_inflate_init_gzip(stream) == Z_OK else {
            unsafe stream.deallocate()
            throw UnpackerFailure.unavailable("zlib")
        }
    }

    deinit {
        unsafe inflateEnd(stream)
        unsafe stream.deallocate()
    }

    var mayEnd: Bool { place != .inMember && members > 0 }

    func unpack(
        _ input: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer,
        isLast: Bool
    ) throws -> UnpackerStep {
        if place == .betweenMembers, let first = unsafe input.first {
            if first == 0x1F {
                // SAFETY: the stream was set up in `init` and is owned by this object.
                unsafe inflateReset(stream)
                place = .inMember
            } else {
                place = .inPadding
            }
        }
        if place == .inPadding {
            guard unsafe input.isAllZero else { throw UnpackerFailure.trailingBytes }
            return UnpackerStep(taken: input.count, put: 0)
        }
        // SAFETY: both buffers are the caller's for this call, and zlib keeps no pointer into them that it uses later:
        // they are set anew each time. zlib only reads its input, although its type does not say so.
        unsafe stream.pointee.next_in = unsafe UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
        unsafe stream.pointee.avail_in = UInt32(input.count)
        unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe stream.pointee.avail_out = UInt32(output.count)
        switch unsafe inflate(stream, Z_NO_FLUSH) {
        case Z_OK, Z_BUF_ERROR: break
        case Z_STREAM_END:
            place = .betweenMembers
            members += 1
        case Z_MEM_ERROR: throw UnpackerFailure.unavailable("memory")
        default:
            let message = unsafe stream.pointee.msg
            // What begins like a member and is none, behind a good one.
            if members > 0, unsafe stream.pointee.total_out == 0, unsafe stream.pointee.total_in <= 10 {
                throw UnpackerFailure.trailingBytes
            }
            throw UnpackerFailure.damaged(unsafe message.map { unsafe String(cString: $0) } ?? "not gzip")
        }
        return UnpackerStep(
            taken: input.count - Int(unsafe stream.pointee.avail_in),
            put: output.count - Int(unsafe stream.pointee.avail_out)
        )
    }
}
