// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The digest that names an image's content: SHA-256 over the SHA-256 of every 4 MiB chunk of the raw content, the last
/// one unpadded. A chunk that is a hole costs nothing, since the digest of zeros is known. Written `sha256-4m:HEX`.
package struct ImageDigest: Hashable, Sendable {
    package static let prefix = "sha256-4m:"
    package let digest: Digest

    /// - Parameter chunks: the digest of each chunk, in order.
    package init(chunks: some Sequence<Digest>) throws {
        var hash = try SHA256()
        for chunk in chunks { hash.update(chunk) }
        digest = hash.finish()
    }

    /// The same for a list that is not at hand as such: a disk of many terabytes has millions of chunks, and asking a
    /// sequence of another module for each takes longer than hashing it.
    ///
    /// - Parameter chunk: the digest of the chunk of that index.
    package init(count: Int, of chunk: (_ index: Int) throws -> Digest) throws {
        var hash = try SHA256()
        for index in 0..<count { hash.update(try chunk(index)) }
        digest = hash.finish()
    }

    package init?(_ text: some StringProtocol) {
        guard text.hasPrefix(Self.prefix), let digest = Digest(hex: text.dropFirst(Self.prefix.count)) else {
            return nil
        }
        self.digest = digest
    }

    /// The digest of `length` zero bytes.
    package static func zeros(_ length: UInt64) throws -> Digest {
        var hash = try SHA256()
        hash.updateZeros(length)
        return hash.finish()
    }
}

extension ImageDigest: CustomStringConvertible {
    package var description: String { Self.prefix + digest.hex }
}

extension ImageDigest: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = ImageDigest(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an image digest")
        }
        self = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
