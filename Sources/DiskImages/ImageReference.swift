// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import Model

/// An image as the user named it, and what is known of it beforehand: all that is needed to open it in another process.
package struct ImageReference: Codable, Sendable, Equatable {
    package enum BlockMapChoice: Codable, Sendable, Equatable {
        /// The one that lies beside the image, if there is one.
        case beside
        case file(String)
        case none
    }

    /// A path or a URL. The path of a pipe, such as `/proc/PID/fd/0`, is read once.
    package var location: String
    /// Of the file as it is stored; nil when nobody said.
    package var sha256: Digest?
    package var blockMap: BlockMapChoice

    package init(_ location: String, sha256: Digest? = nil, blockMap: BlockMapChoice = .beside) {
        self.location = location
        self.sha256 = sha256
        self.blockMap = blockMap
    }

    /// Opens the image, whatever its name says.
    ///
    /// A file that can be read in any order is compared with its digest, as a whole, before this returns; any other
    /// one while it is read.
    ///
    /// - Throws: `not-found`, `bad-image`, `digest-mismatch`, `unavailable`.
    package func open() async throws -> OpenImage {
        if BlockMap.isMap(location) {
            let map = try BlockMap(contentsOf: location)
            return OpenImage(source: nil, blockMap: map, blockMapPath: location, published: nil)
        }
        let opened = try await openSource()
        let source = opened.source
        guard let path = blockMapPath else {
            return OpenImage(source: source, blockMap: nil, blockMapPath: nil, published: opened.published)
        }
        let map = try BlockMap(contentsOf: path)
        if let size = source.facts.size { try map.confirm(imageSize: size, of: location) }
        return OpenImage(source: source, blockMap: map, blockMapPath: path, published: opened.published)
    }

    private var blockMapPath: String? {
        switch blockMap {
        case .none: nil
        case .file(let path): path
        case .beside: location.contains("://") ? nil : BlockMap.beside(location)
        }
    }
}

/// An image that can be read; or only its block map, which is enough to verify by.
package struct OpenImage: Sendable {
    /// nil where a block map was named instead of an image: it has digests, and no content.
    package let source: (any ImageSource)?
    /// Where there is one, the image has to have its digests.
    package let blockMap: BlockMap?
    package let blockMapPath: String?
    /// The digest found beside the image, which it has to have; nil when one was given, or none was found.
    package let published: PublishedDigest?

    /// Every file that it is made of, for the rule that a target must not hold its own source.
    package var files: [String] { (source?.files ?? []) + (blockMapPath.map { [$0] } ?? []) }
}
