// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What is known of an image before its content is read.
package struct ImageFacts: Codable, Sendable, Equatable {
    /// As the user named it.
    package let path: String
    /// "raw", "qcow2", "xz".
    package let format: String
    /// Of the raw content, in bytes; nil for a stream that tells it only by its end.
    package let size: UInt64?
    /// The logical sector size that the image's partition table was made for, in bytes; nil without one.
    package let tableSectorSize: Int?

    package init(path: String, format: String, size: UInt64?, tableSectorSize: Int?) {
        self.path = path
        self.format = format
        self.size = size
        self.tableSectorSize = tableSectorSize
    }
}
