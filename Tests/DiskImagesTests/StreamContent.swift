// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model
import Programs
import Testing
import Threads

/// What a streamed image gives from its start to its end, taken in pieces of an odd size. On a thread of its own: a
/// source may wait for a program, which in turn needs Swift's own threads.
func content(of source: (any ImageSource)?, piece: Int = 1_000_003) async throws -> [UInt8] {
    let source = try #require(source as? any StreamSource)
    return try await onOwnThread(named: "test-read") {
        let stream = try source.open()
        let buffer = AlignedBuffer(count: piece)
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<piece])
        var bytes: [UInt8] = []
        while true {
            let count = try unsafe stream.read(into: part)
            unsafe bytes.append(contentsOf: part[..<count])
            if count < piece { return bytes }
        }
    }
}

/// Reads a whole source the way the engine does: chunk by chunk.
func contentByChunks(of source: any RandomAccessSource) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for index in 0..<source.chunkCount {
        let buffer = AlignedBuffer(count: source.length(ofChunk: index))
        let part = unsafe UnsafeMutableRawBufferPointer(
            rebasing: buffer.mutableBytes[..<source.length(ofChunk: index)]
        )
        try unsafe source.read(into: part, at: UInt64(index) * ByteSize.chunk)
        unsafe bytes.append(contentsOf: part)
    }
    return bytes
}

/// Runs a line of shell, in a folder.
@discardableResult
func shell(_ line: String, in folder: String) async throws -> String {
    try await Program("bash", debianPackage: "bash").run(
        ["-euo", "pipefail", "-c", line],
        workingDirectory: folder,
        failure: .fault
    )
}

/// The error of opening an image and reading all of it; nil when there was none.
func failure(_ reference: ImageReference) async -> FlashlayerError? {
    do {
        _ = try await content(of: try await reference.open().source)
        return nil
    } catch {
        return FlashlayerError(wrapping: error)
    }
}
