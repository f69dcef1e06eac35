// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model
import Threads

extension ImageReference {
    /// What the location names, with the digest that was asked for or found beside it.
    struct Opened {
        let source: any ImageSource
        let published: PublishedDigest?
    }

    /// Opens a file that is read in any order, or one that is streamed.
    func openSource() async throws -> Opened {
        if let address = WebAddress(location) {
            return try await onAbandonableThread(named: "open-image") {
                let origin = try WebOrigin(address)
                // First: a missing image is to be told as such.
                let bytes = try origin.begin()
                let published = try sha256 == nil ? PublishedDigest.beside(address) : nil
                return Opened(source: try stream(origin, bytes, sha256 ?? published?.sha256), published: published)
            }
        }
        if PipeOrigin.isPipe(location) {
            let origin = try PipeOrigin(location)
            return try await onAbandonableThread(named: "open-image") {
                Opened(source: try stream(origin, origin.begin(), sha256), published: nil)
            }
        }
        let file = try ImageFile(location)
        let published = try sha256 == nil ? PublishedDigest.beside(path: location) : nil
        let wanted = sha256 ?? published?.sha256
        let format = try ImageFormat.tell(file)
        if format.isStreamed {
            return try await onAbandonableThread(named: "open-image") {
                let origin = FileOrigin(file)
                return Opened(source: try stream(origin, origin.begin(), wanted), published: published)
            }
        }
        if let wanted { try await file.compare(with: wanted) }
        return Opened(source: try await ImageFormat.openLocal(file, format), published: published)
    }

    /// Tells the format by the first bytes, and goes on with them.
    private func stream(_ origin: any ByteOrigin, _ bytes: any ByteStream, _ sha256: Digest?) throws -> StreamedSource {
        do {
            var first = [UInt8](repeating: 0, count: ImageFormat.probeLength)
            var count = 0
            while count < first.count {
                let got = try unsafe first.withUnsafeMutableBytes { buffer in
                    try unsafe bytes.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[count...]))
                }
                if got == 0 { break }
                count += got
            }
            let start = ByteStart(bytes: bytes, first: Array(first[..<count]))
            let format = ImageFormat.detect(start.first)
            guard format.isStreamed || format == .raw || format == .luks else {
                throw FlashlayerError(
                    .badImage,
                    "\(origin.name) is a \(format.rawValue) image, which has to be a file: it is not read in order",
                    advice: WebAddress(location) == nil
                        ? "write it to a file first" : "download it first: curl -fLO \(origin.name)"
                )
            }
            return try StreamedSource(origin, format: format, sha256: sha256, start: start)
        } catch {
            bytes.cancel()
            throw error
        }
    }
}
