// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials

/// A path as a person wants to read it.
enum ShownPath {
    /// Relative to the current folder where the path lies below it.
    static func of(_ path: String) -> String {
        let current = FileManager.default.currentDirectoryPath
        return path.hasPrefix(current + "/")
            ? String(decoding: path.utf8.dropFirst(current.utf8.count + 1), as: UTF8.self) : path
    }
}
