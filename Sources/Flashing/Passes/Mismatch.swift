// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Model

/// A chunk that was read back and is not what the image has there.
struct Mismatch: Sendable, Equatable {
    /// What became of the bytes, as far as it can be told.
    enum Kind: String, Sendable {
        /// Single bits are others.
        case flipped
        /// Zeros stand there.
        case zeroed
        /// Something else stands there, as what was there before.
        case stale
        /// It is what belongs to another place of the image.
        case aliased
        /// It differs in nothing but its partition table.
        case table
        /// Only the digest is known.
        case unknown
    }

    let chunk: Int
    /// The first wrong byte on the target where that is known, else the chunk's first.
    var offset: UInt64
    var kind: Kind

    /// Looks for what is not zero in a chunk that should be.
    ///
    /// - Returns: nil when all of it is zero.
    init?(zeros found: Chunk) {
        if unsafe found.content.isAllZero { return nil }
        let wanted = unsafe UnsafeRawBufferPointer(rebasing: AlignedBuffer.zeros.bytes[..<found.length])
        unsafe self.init(wanted: wanted, found: found.content, of: found)
    }

    init(chunk: Int, offset: UInt64, kind: Kind) {
        self.chunk = chunk
        self.offset = offset
        self.kind = kind
    }

    /// Compares a chunk with what the target has in its place.
    ///
    /// - Returns: nil when both are the same.
    init?(wanted: UnsafeRawBufferPointer, found: UnsafeRawBufferPointer, of chunk: Chunk) {
        unsafe self.init(wanted: wanted, found: found, at: chunk.offset)
    }

    /// Compares what belongs to a place of the target with what it has there.
    ///
    /// - Parameter start: of both, on the target, in bytes.
    /// - Returns: nil when both are the same.
    init?(wanted: UnsafeRawBufferPointer, found: UnsafeRawBufferPointer, at start: UInt64) {
        guard let position = unsafe Self.firstDifference(wanted, found) else { return nil }
        let sector = position / 512 * 512
        let end = min(sector + 512, wanted.count)
        var bits = 0
        var isZero = true
        for index in sector..<end {
            bits += unsafe (wanted[index] ^ found[index]).nonzeroBitCount
            if unsafe found[index] != 0 { isZero = false }
        }
        // Zeros differ in few bits where there was little; a sector of other content differs in half of its bits.
        let kind: Kind = isZero ? .zeroed : bits <= 64 ? .flipped : .stale
        let offset = start + UInt64(position)
        self.init(chunk: Int(offset / ByteSize.chunk), offset: offset, kind: kind)
    }

    private static func firstDifference(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Int? {
        guard let first = one.baseAddress, let second = other.baseAddress, unsafe memcmp(first, second, one.count) != 0
        else { return nil }
        var position = 0
        while position + 8 <= one.count {
            let left = unsafe one.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let right = unsafe other.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            if left != right { return position + (left ^ right).trailingZeroBitCount / 8 }
            position += 8
        }
        return (position..<one.count).first { unsafe one[$0] != other[$0] }
    }

    /// For the message of an error.
    func sentence(_ path: String, count: Int) -> String {
        let what =
            switch kind {
            case .flipped: "single bits have changed"
            case .zeroed: "there are zeros instead"
            case .stale: "something else stands there, perhaps what was there before"
            case .aliased: "what belongs to another place stands there"
            case .table: "it has another partition table, and all the rest agrees"
            case .unknown: "the digest is another"
            }
        let chunks = count == 1 ? "1 chunk of 4 MiB differs" : "\(count) chunks of 4 MiB differ"
        let place = kind == .unknown ? "in the 4 MiB from byte \(offset) on" : "from byte \(offset) on"
        return "\(path) differs from the image \(place): \(what) (\(kind.rawValue); \(chunks))"
    }
}
