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

    /// Reads the image, of any kind. Chunks are hashed on two threads, the whole on a third. Cancelling the task ends it.
    ///
    /// - Parameter onProgress: is given the bytes done; called from a thread of ours, for every piece.
    /// - Throws: what the source throws; `interrupted`.
    package static func scan(
        _ source: any ImageSource,
        wholeDigest: Bool,
        onProgress: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) async throws -> ImageScan {
        let isCancelled = Monitor(false)
        return try await withTaskCancellationHandler {
            try await onOwnThread(named: "scan-image") {
                try scanNow(
                    source,
                    wholeDigest: wholeDigest,
                    isCancelled: { isCancelled.update { $0 } },
                    onProgress: onProgress
                )
            }
        } onCancel: {
            isCancelled.update { $0 = true }
        }
    }

    private static func scanNow(
        _ source: any ImageSource,
        wholeDigest: Bool,
        isCancelled: () -> Bool,
        onProgress: (UInt64) -> Void
    ) throws -> ImageScan {
        let digests = ChunkDigests(on: try WorkerThreads())
        let pass = ReadingPass(source, pool: ChunkPool(chunks: 8))
        let feed = try pass.onlyFeed(hashingInto: digests)
        defer {
            feed.close()
            pass.cancel()
        }
        var whole = try wholeDigest ? SHA256() : nil
        while true {
            if isCancelled() { throw FlashlayerError(.interrupted, "interrupted") }
            switch try feed.take(upTo: .milliseconds(100)) {
            case .piece(let piece):
                if let chunk = piece.chunk {
                    unsafe whole?.update(chunk.content)
                } else {
                    whole?.updateZeros(piece.byteCount)
                }
                onProgress(piece.range.upperBound)
            case .end(_, let size):
                let list = try digests.finish(imageSize: size)
                return ImageScan(size: size, chunkDigests: Array(list.all), rawSha256: whole?.finish())
            case .nothingYet: continue
            case .detached: throw FlashlayerError(.fault, "the only reader of an image was put off")
            }
        }
    }
}
