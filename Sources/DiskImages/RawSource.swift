// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model
import PartitionTables
import Synchronization

/// A raw image: the file is the content. Holes are told by the file system.
package final class RawSource: RandomAccessSource {
    package let facts: ImageFacts
    package var size: UInt64 { file.size }
    private let file: ImageFile
    private let knownExtents = Mutex<[Extent]?>(nil)

    init(_ file: ImageFile) throws {
        self.file = file
        guard file.size > 0 else {
            throw FlashlayerError(.badImage, "the image \(file.path) is empty")
        }
        facts = ImageFacts(
            path: file.path,
            format: "raw",
            size: file.size,
            tableSectorSize: PartitionTableProbe.sectorSize(
                in: try file.prefix(PartitionTableProbe.length),
                size: file.size
            )
        )
    }

    /// Asked for when they are needed: whoever only wants the size does not wait for a walk through the file.
    package var extents: [Extent] {
        knownExtents.withLock { known in
            let extents = known ?? file.extents()
            known = extents
            return extents
        }
    }

    package var files: [String] { [file.path] }

    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        try unsafe file.read(into: buffer, at: offset)
    }

    package func cachedPlace(at offset: UInt64, count: Int) -> FilePlace? {
        file.cachedPlace(at: offset, count: count)
    }

    package func confirmUnchanged() throws {
        try file.confirmUnchanged()
    }
}
