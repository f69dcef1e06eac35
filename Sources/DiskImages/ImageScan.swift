// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import Model
import Threads

/// Everything that is to be known of an image's content, from reading it once.
package struct ImageScan: Sendable {
    /// Bytes of raw content.
    package let size: UInt64
    /// Of each 4 MiB chunk, the last one unpadded.
    package let chunkDigests: [Digest]
    /// SHA-256 of the whole raw content, holes as zeros; nil unless asked for, since it keeps one core busy.
    package let rawSha256: Digest?

    package var imageDigest: ImageDigest {
        get throws { try ImageDigest(chunks: chunkDigests) }
    }

    package var blockMap: BlockMap { BlockMap(imageSize: size, chunks: chunkDigests) }

    /// Reads the image. Chunks are hashed on two threads, the whole on a third.
    ///
    /// - Parameter onProgress: is given the bytes done; called from a thread of ours, for every chunk.
    /// - Throws: what the source throws; `interrupted` when `isCancelled` turned true.
    package static func scan(
        _ source: any RandomAccessSource,
        wholeDigest: Bool,
        isCancelled: @escaping @Sendable () -> Bool = { false },
        onProgress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) async throws -> ImageScan {
        try await onOwnThread(named: "scan-image") {
            try scanNow(source, wholeDigest: wholeDigest, isCancelled: isCancelled, onProgress: onProgress)
        }
    }

    private static func scanNow(
        _ source: any RandomAccessSource,
        wholeDigest: Bool,
        isCancelled: () -> Bool,
        onProgress: (UInt64) -> Void
    ) throws -> ImageScan {
        let hasher = try ChunkHasher(chunks: source.chunkCount)
        let hasData = source.chunksWithData
        let reader = try ChunkReader(source, wanted: hasData, pool: ChunkPool(chunks: 8))
        defer { reader.stop() }
        var whole = try wholeDigest ? SHA256() : nil
        let zeros = AlignedBuffer(count: Int(ByteSize.chunk))
        for index in hasData.indices {
            if isCancelled() { throw FlashlayerError(.interrupted, "interrupted") }
            let length = source.length(ofChunk: index)
            if hasData[index] {
                guard let chunk = try reader.next() else { break }
                hasher.hash(chunk)
                unsafe whole?.update(chunk.content)
            } else {
                try hasher.setZeros(index: index, length: length)
                unsafe whole?.update(UnsafeRawBufferPointer(rebasing: zeros.bytes[..<length]))
            }
            onProgress(UInt64(index) * ByteSize.chunk + UInt64(length))
        }
        let digests = try hasher.finish()
        try source.confirmUnchanged()
        return ImageScan(size: source.size, chunkDigests: digests, rawSha256: whole?.finish())
    }
}
