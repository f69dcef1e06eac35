// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLzma
import Model

extension ImageFormat {
    /// How long the content of a stored image is, in bytes, where that is certain before it is unpacked: a raw image's
    /// own size, or what the index of an xz file says. nil where only the end tells. Reads a few blocks.
    func contentSize(of origin: any ByteOrigin) throws -> UInt64? {
        switch self {
        case .raw, .luks: origin.size
        case .xz: try (origin as? FileOrigin).flatMap(XzIndex.contentSize)
        default: nil
        }
    }
}

/// The index at the end of each stream of an xz file, and of all that stand in it.
private enum XzIndex {
    /// - Returns: nil for an index that liblzma does not take: unpacking will say what is wrong.
    static func contentSize(of origin: FileOrigin) throws -> UInt64? {
        guard let size = origin.size else { return nil }
        var stream = unsafe lzma_stream()
        var index: OpaquePointer?
        guard unsafe lzma_file_info_decoder(&stream, &index, UnpackerMemory.limit, size) == LZMA_OK else { return nil }
        defer {
            unsafe lzma_end(&stream)
            unsafe lzma_index_end(index, nil)
        }
        let buffer = AlignedBuffer(count: 64 << 10)
        var position: UInt64 = 0
        while true {
            if unsafe stream.avail_in == 0 {
                let count = Int(min(UInt64(buffer.count), size - position))
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<count])
                try unsafe origin.read(into: part, at: position)
                position += UInt64(count)
                // SAFETY: the buffer outlives the stream, which looks at it only in `lzma_code`.
                unsafe stream.next_in = buffer.bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
                unsafe stream.avail_in = count
            }
            switch unsafe lzma_code(&stream, LZMA_RUN) {
            case LZMA_OK: continue
            case LZMA_SEEK_NEEDED:
                position = unsafe stream.seek_pos
                unsafe stream.avail_in = 0
            case LZMA_STREAM_END: return unsafe lzma_index_uncompressed_size(index)
            default: return nil
            }
        }
    }
}
