// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// A raw image: the file is the content. Holes are told by the file system.
package struct RawSource: RandomAccessSource {
    package let facts: ImageFacts
    package let extents: [Extent]
    package var size: UInt64 { file.size }
    private let file: ImageFile

    init(_ file: ImageFile) throws {
        self.file = file
        guard file.size > 0 else {
            throw FlashlayerError(.badImage, "the image \(file.path) is empty")
        }
        extents = try file.extents()
        facts = ImageFacts(
            path: file.path,
            format: "raw",
            size: file.size,
            tableSectorSize: PartitionTableProbe.sectorSize(in: try file.prefix(PartitionTableProbe.length))
        )
    }

    package var files: [String] { [file.path] }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        try unsafe file.read(into: buffer, at: offset)
    }

    package func confirmUnchanged() throws {
        try file.confirmUnchanged()
    }
}

/// Where a GPT header stands tells which sector size the table was made for.
enum PartitionTableProbe {
    /// Bytes from the start of an image that are enough.
    static let length = 8192

    /// 512 or 4096; nil without a GPT.
    static func sectorSize(in start: [UInt8]) -> Int? {
        [512, 4096].first { start.count >= $0 + 8 && start[$0..<($0 + 8)].elementsEqual("EFI PART".utf8) }
    }
}
