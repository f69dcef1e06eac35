// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import DiskImages
import Glibc
package import Model

/// The image of an arming: a local file that was read as a whole and compared with its block map, so that every engine
/// finds it in the page cache, and none finds it wrong in the middle of a stick.
package struct PreparedImage: Sendable {
    let reference: ImageReference
    package let name: String
    package let digest: ImageDigest
    package let facts: ImageFacts
    /// All that it is made of.
    package let files: [String]
    private let source: any ImageSource

    /// Reads the image. Cancelling the task ends it.
    ///
    /// - Parameters:
    ///   - path: absolute: the daemon has another working directory than whoever asks.
    ///   - onProgress: is given the bytes done.
    /// - Throws: `usage` for what is no local file; `not-found`; `bad-image` when it is packed or has no block map with
    ///   digests; `digest-mismatch` when it is not what its map says.
    package init(at path: String, onProgress: @escaping @Sendable (UInt64) -> Void = { _ in }) async throws {
        guard path.hasPrefix("/") else {
            throw FlashlayerError(.usage, "'\(Printable.line(path))' is no absolute path", advice: "name a local file")
        }
        var status = stat()
        guard unsafe stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG else {
            throw FlashlayerError(.usage, "\(path) is no file", advice: "a station writes one local image file")
        }
        reference = ImageReference(path)
        let open = try await reference.open()
        guard let source = open.source as? any RandomAccessSource else {
            throw FlashlayerError(
                .badImage,
                "\(path) cannot be read in any order: it is packed, or a block map alone",
                advice: "unpack it once, and arm the result: flashlayer export \(path) image.raw"
            )
        }
        guard let map = open.blockMap, let expected = map.chunkDigests else {
            throw FlashlayerError(
                .badImage,
                "\(path) has no block map beside it with a digest for each 4 MiB",
                advice: "make one where the image is known to be good: flashlayer map \(path)"
            )
        }
        let scan = try await ImageScan.scan(source, wholeDigest: false, onProgress: onProgress)
        if let wrong = expected.indices.first(where: { scan.chunkDigests[$0] != expected[$0] }) {
            throw FlashlayerError(
                .digestMismatch,
                "\(path) is not what its block map says",
                advice: "copy or build it again",
                offset: UInt64(wrong) * ByteSize.chunk
            )
        }
        self.source = source
        name = path.split(separator: "/").last.map(String.init) ?? path
        digest = try scan.imageDigest
        facts = source.facts
        files = open.files
    }

    /// - Throws: `source-changed` when the file is not the one that was armed.
    package func confirmUnchanged() throws {
        try source.confirmUnchanged()
    }
}
