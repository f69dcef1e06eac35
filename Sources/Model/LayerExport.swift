// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What layers can be made into for machines that are built by other means. Each is a folder.
package enum LayerExport: String, CaseIterable, Codable, Sendable {
    /// A template for Packer, which runs the layers on a base image.
    case packer
    /// A shell script for machines that already run.
    case script

    /// Of the folder's name: `kiosk-packer`.
    package var ending: String { "-\(rawValue)" }
}
