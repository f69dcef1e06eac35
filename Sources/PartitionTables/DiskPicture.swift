// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What is known of a disk or an image: bytes at some places, and nothing of all the others.
package struct DiskPicture: Sendable {
    private struct Piece: Sendable {
        let range: Range<UInt64>
        let bytes: [UInt8]
    }

    /// Of the whole disk, in bytes.
    package let size: UInt64
    private var pieces: [Piece] = []

    /// - Parameter size: of the whole disk, in bytes.
    package init(size: UInt64) {
        self.size = size
    }

    /// Adds what stands at a place. Pieces do not overlap.
    package mutating func add(_ bytes: [UInt8], at offset: UInt64) {
        pieces.append(Piece(range: offset..<(offset + UInt64(bytes.count)), bytes: bytes))
    }

    /// - Returns: nil unless every byte of the range is known.
    package func bytes(_ range: Range<UInt64>) -> [UInt8]? {
        guard let piece = pieces.first(where: { $0.range.contains(range.lowerBound) }) else { return nil }
        let end = min(range.upperBound, piece.range.upperBound)
        let start = Int(range.lowerBound - piece.range.lowerBound)
        let found = Array(piece.bytes[start..<(start + Int(end - range.lowerBound))])
        return end == range.upperBound ? found : bytes(end..<range.upperBound).map { found + $0 }
    }
}

extension [UInt8] {
    /// A number of the disk: little-endian, as all numbers of partition tables.
    func number<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type = Value.self) -> Value {
        (0..<(Value.bitWidth / 8)).reversed().reduce(0) { $0 << 8 | Value(truncatingIfNeeded: self[offset + $1]) }
    }

    mutating func put(_ number: some FixedWidthInteger, at offset: Int) {
        for index in 0..<(number.bitWidth / 8) {
            self[offset + index] = UInt8(truncatingIfNeeded: number >> (8 * index))
        }
    }
}
