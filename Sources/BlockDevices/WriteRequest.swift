// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// What is to be written, as far as the choice of a disk depends on it. The default asks nothing of the disk.
package struct WriteRequest: Sendable {
    /// Bytes of the raw image; nil when it is not known yet.
    package var imageSize: UInt64?
    /// The sector that the image's partition table was made for; nil without a table.
    package var tableSectorSize: Int?
    /// Files that must outlive the write.
    package var sourceFiles: [SourceFile]
    /// Rules that the user lifted.
    package var allowed: Set<ErrorCode>
    /// What is mounted from the disk will be unmounted first, where that can be undone.
    package var unmounts: Bool

    /// - Parameter sourceFiles: paths of image, backing files, cache and report; one that is not there yet counts as
    ///   the folder that it will be in.
    package init(
        imageSize: UInt64? = nil,
        tableSectorSize: Int? = nil,
        sourceFiles: [String] = [],
        allowed: Set<ErrorCode> = [],
        unmounts: Bool = false
    ) {
        self.imageSize = imageSize
        self.tableSectorSize = tableSectorSize
        self.sourceFiles = sourceFiles.compactMap { SourceFile($0) }
        self.allowed = allowed
        self.unmounts = unmounts
    }
}
