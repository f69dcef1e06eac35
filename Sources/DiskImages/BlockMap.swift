// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import Model

/// A block map: which ranges of an image there are, each with its digest. Written as format 2.0 of bmap-tools, so that
/// `bmaptool copy` reads it as well.
///
/// Ours lists every chunk, holes included: what a map leaves out means "don't care" to other writers, while file
/// systems lean on holes that read as zero.
package struct BlockMap: Sendable, Equatable {
    package static let version = "2.0"
    /// Bytes, in the maps that we write.
    package static let blockSize: UInt64 = 4096

    /// Both ends are block numbers and belong to the range.
    package struct Range: Sendable, Equatable {
        package let first: UInt64
        package let last: UInt64
        /// Of the range's bytes, the last block of the image unpadded; nil when the map has none that can be checked.
        package let digest: Digest?

        package init(first: UInt64, last: UInt64, digest: Digest?) {
            self.first = first
            self.last = last
            self.digest = digest
        }
    }

    /// Of the image, in bytes.
    package let imageSize: UInt64
    /// Bytes; a multiple of 512.
    package let blockSize: UInt64
    /// Ascending, without overlaps.
    package let ranges: [Range]
    /// The kind of check sums that the map has and that are not checked, such as "sha1"; nil where all of them are.
    package let uncheckedDigests: String?

    package init(
        imageSize: UInt64,
        blockSize: UInt64 = BlockMap.blockSize,
        ranges: [Range],
        uncheckedDigests: String? = nil
    ) {
        self.imageSize = imageSize
        self.blockSize = blockSize
        self.ranges = ranges
        self.uncheckedDigests = uncheckedDigests
    }

    /// The map of an image whose chunk digests are known.
    package init(imageSize: UInt64, chunks: [Digest]) {
        let blocks = imageSize.roundedUp(to: Self.blockSize) / Self.blockSize
        let perChunk = ByteSize.chunk / Self.blockSize
        self.init(
            imageSize: imageSize,
            ranges: chunks.enumerated().map { index, digest in
                let first = UInt64(index) * perChunk
                return Range(first: first, last: min(first + perChunk, blocks) - 1, digest: digest)
            }
        )
    }

    /// Where a range lies in the image, in bytes; the end of the image may cut its last block.
    package func bytes(of range: Range) -> Swift.Range<UInt64> {
        range.first * blockSize..<min((range.last + 1) * blockSize, imageSize)
    }

    /// - Parameter name: of the image, for the message.
    /// - Throws: `digest-mismatch` when the image has another size than the map is for.
    package func confirm(imageSize size: UInt64, of name: String) throws {
        guard size == imageSize else {
            throw FlashlayerError(
                .digestMismatch,
                "\(name) has \(size) bytes, and its block map is for \(imageSize)",
                advice: "make the map again (flashlayer map), or do without it: --no-bmap"
            )
        }
    }

    /// Whether it proves anything: at least one range has a digest.
    package var hasDigests: Bool { ranges.contains { $0.digest != nil } }

    /// The digests of all chunks, when the ranges are exactly the chunks of the image; nil for a map of another make.
    package var chunkDigests: [Digest]? {
        let digests = ranges.compactMap(\.digest)
        return BlockMap(imageSize: imageSize, chunks: digests) == self
            && UInt64(digests.count) == imageSize.roundedUp(to: ByteSize.chunk) / ByteSize.chunk ? digests : nil
    }

    /// The file's text. `BmapFileChecksum` is the digest of that text with its own 64 digits as zeros.
    package func xml() throws -> String {
        let blocks = imageSize.roundedUp(to: blockSize) / blockSize
        let mapped = ranges.reduce(0) { $0 + $1.last - $1.first + 1 }
        let placeholder = String(repeating: "0", count: 64)
        let lines = ranges.map { range in
            let blocks = range.first == range.last ? "\(range.first)" : "\(range.first)-\(range.last)"
            let digest = range.digest.map { " chksum=\"\($0.hex)\"" } ?? ""
            return "        <Range\(digest)>\(blocks)</Range>\n"
        }
        let head = """
            <?xml version="1.0" ?>
            <bmap version="\(Self.version)">
                <ImageSize>\(imageSize)</ImageSize>
                <BlockSize>\(blockSize)</BlockSize>
                <BlocksCount>\(blocks)</BlocksCount>
                <MappedBlocksCount>\(mapped)</MappedBlocksCount>
                <ChecksumType>sha256</ChecksumType>
                <BmapFileChecksum>
            """
        let tail = "</BmapFileChecksum>\n    <BlockMap>\n" + lines.joined() + "    </BlockMap>\n</bmap>\n"
        let checksum = try SHA256.digest(of: head + placeholder + tail)
        return head + checksum.hex + tail
    }
}
