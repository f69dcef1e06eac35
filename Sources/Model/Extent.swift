// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A run of an image. All values are bytes.
package struct Extent: Codable, Hashable, Sendable {
    package enum Kind: String, Codable, Sendable {
        /// Bytes that have to be read.
        case data
        /// Bytes that are known to be zero without being read.
        case zero
    }

    package let offset: UInt64
    package let length: UInt64
    package let kind: Kind

    package init(offset: UInt64, length: UInt64, kind: Kind) {
        self.offset = offset
        self.length = length
        self.kind = kind
    }

    package var end: UInt64 { offset + length }
}
