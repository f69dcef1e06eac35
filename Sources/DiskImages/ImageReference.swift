// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests

/// An image as the user named it, and what is known of it beforehand: all that is needed to open it in another process.
package struct ImageReference: Codable, Sendable, Equatable {
    package enum BlockMapChoice: Codable, Sendable, Equatable {
        /// The one that lies beside the image, if there is one.
        case beside
        case file(String)
        case none
    }

    /// A path or a URL.
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
    /// - Throws: `not-found`, `bad-image`, `digest-mismatch`, `unavailable`.
    package func open() async throws -> OpenImage {
        OpenImage(source: try await ImageFormat.open(location), blockMap: nil)
    }
}

/// An image that can be read.
package struct OpenImage: Sendable {
    package let source: any ImageSource
    /// Where there is one, the image has to have its digests.
    package let blockMap: BlockMap?
}
