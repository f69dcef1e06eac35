// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// This program's own version, as `--version` prints it and as images and records carry it.
package enum Version {
    package static let string = "0.1.0"
    /// Rises when the lines between a program and its workers change.
    package static let workerProtocol = 1
    /// When it was given that number; manual pages show it.
    package static let date = "2026-11-30"
}
