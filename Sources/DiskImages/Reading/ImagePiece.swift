// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What a reading pass hands out: the image in order, piece by piece.
package struct ImagePiece: Sendable {
    package enum Content: Sendable {
        case data(Chunk)
        /// Nothing but zeros. A hole is not even stored in the image.
        case zeros(isHole: Bool)
    }

    package let content: Content
    /// Whole chunks: the first one's index and how many.
    package let chunks: Range<Int>
    /// On the image, in bytes.
    package let range: Range<UInt64>
    /// The range without the image's ends, which are written last.
    package let body: [Range<UInt64>]

    package var byteCount: UInt64 { UInt64(range.count) }

    package var chunk: Chunk? {
        if case .data(let chunk) = content { chunk } else { nil }
    }
}
