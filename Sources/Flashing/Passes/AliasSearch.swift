// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Model

/// Looks through the image for what stands in the wrong place on the target: where it is found, the target has put one
/// part of the image onto another, as a device does that has less room than it claims.
struct AliasSearch {
    private static let blockSize = 4096

    let source: any RandomAccessSource
    let target: OpenTarget

    func finds(at mismatch: Mismatch) throws -> Bool {
        let offset = mismatch.offset.roundedDown(to: UInt64(Self.blockSize))
        guard offset + UInt64(Self.blockSize) <= min(source.size, target.size) else { return false }
        let found = AlignedBuffer(count: Self.blockSize)
        try target.queue.add(Transfer(.read, found, count: Self.blockSize, offset: offset))
        try target.queue.finish()
        if unsafe found.bytes.isAllZero || isDull(found) { return false }
        let buffer = AlignedBuffer(count: Int(ByteSize.chunk))
        let first = unsafe found.bytes.load(as: UInt64.self)
        let wait = target.monitor.whileWaiting()
        for (index, hasData) in source.chunksWithData.enumerated() where hasData {
            try wait()
            let length = source.length(ofChunk: index)
            let content = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<length])
            let start = UInt64(index) * ByteSize.chunk
            try unsafe source.read(into: content, at: start)
            for position in stride(from: 0, through: length - Self.blockSize, by: 512) {
                guard unsafe content.load(fromByteOffset: position, as: UInt64.self) == first else { continue }
                if start + UInt64(position) != offset, unsafe same(content, position, found) { return true }
            }
        }
        return false
    }

    /// The same few bytes over and over stand in many places, which says nothing.
    private func isDull(_ block: AlignedBuffer) -> Bool {
        let first = unsafe block.bytes.load(as: UInt64.self)
        return stride(from: 8, to: Self.blockSize, by: 8).allSatisfy { position in
            unsafe block.bytes.load(fromByteOffset: position, as: UInt64.self) == first
        }
    }

    private func same(_ content: UnsafeMutableRawBufferPointer, _ position: Int, _ block: AlignedBuffer) -> Bool {
        guard let one = content.baseAddress, let other = unsafe block.bytes.baseAddress else { return false }
        return unsafe memcmp(one + position, other, Self.blockSize) == 0
    }
}
