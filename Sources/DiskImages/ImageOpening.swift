// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Threads

extension ImageReference {
    /// Opens what the location names: a file that is read in any order, or one that is streamed.
    func openSource() async throws -> any ImageSource {
        if PipeOrigin.isPipe(location) {
            let origin = try PipeOrigin(location)
            return try await onAbandonableThread(named: "open-image") { try stream(origin) }
        }
        let file = try ImageFile(location)
        let format = try ImageFormat.detect(file.prefix(ImageFormat.probeLength))
        if format.isStreamed {
            return try await onAbandonableThread(named: "open-image") { try stream(FileOrigin(file)) }
        }
        if let sha256 { try await file.compare(with: sha256) }
        return try await ImageFormat.open(file, format)
    }

    /// Tells the format by the first bytes, and goes on with them.
    private func stream(_ origin: any ByteOrigin) throws -> StreamedSource {
        let bytes = try origin.begin()
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
            return try StreamedSource(origin, format: format, sha256: sha256, start: start)
        } catch {
            bytes.cancel()
            throw error
        }
    }
}
