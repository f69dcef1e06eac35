// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
package import Model
import PartitionTables
import Synchronization

/// An image that is unpacked or received from its start to its end.
package final class StreamedSource: StreamSource {
    package let facts: ImageFacts
    private let origin: any ByteOrigin
    private let format: ImageFormat
    private let sha256: Digest?
    /// The pass that told what is in the image: the first one who opens it gets it.
    private let begun: Mutex<UnpackedStream?>

    /// Reads the first MiB of the content, so that what is no image fails before a target is claimed. Blocks.
    ///
    /// - Parameters:
    ///   - format: as the stored bytes tell it: one that is unpacked in order, or raw.
    ///   - sha256: of the bytes as stored.
    ///   - start: a pass that was begun, and what was read of it.
    init(_ origin: any ByteOrigin, format: ImageFormat, sha256: Digest?, start: ByteStart) throws {
        self.origin = origin
        self.format = format
        self.sha256 = sha256
        let stream = try UnpackedStream(origin, format: format, sha256: sha256, start: start)
        do {
            let content = try stream.peek(Int(ByteSize.mebibyte))
            try Self.check(content, of: origin.name, in: format)
            let size = try format.contentSize(of: origin)
            facts = ImageFacts(
                path: origin.name,
                format: format.rawValue,
                size: size,
                tableSectorSize: PartitionTableProbe.sectorSize(in: content, size: size)
            )
        } catch {
            stream.cancel()
            throw error
        }
        begun = Mutex(stream)
    }

    package var files: [String] { origin.files }
    package var isRepeatable: Bool { origin.isRepeatable }

    package func open() throws -> any ImageStream {
        if let stream = begun.withLock({ $0.take() }) { return stream }
        return try UnpackedStream(origin, format: format, sha256: sha256)
    }

    package func confirmUnchanged() throws {
        try origin.confirmUnchanged()
    }

    /// Only raw content can be written as it comes.
    private static func check(_ content: [UInt8], of name: String, in format: ImageFormat) throws {
        guard !content.isEmpty else { throw FlashlayerError(.badImage, "the image \(name) is empty") }
        let inner = ImageFormat.detect(content)
        guard inner == .raw || inner == .luks else {
            throw FlashlayerError(
                .badImage,
                "\(name) holds a \(inner.rawValue) file, which cannot be read in a \(format.rawValue) one",
                advice: format.unpackAdvice(name)
            )
        }
    }
}
