// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials

/// The source tree that the tests were built from, for tests that hold files against code.
package enum Checkout {
    package static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    /// Every file below some folders of it, as paths from the root, in order. Hidden files are left out.
    ///
    /// - Parameter suffixes: how the names end; empty: any.
    package static func files(_ folders: [String], suffixes: [String] = []) throws -> [String] {
        try folders.flatMap { folder in
            try FileManager.default.subpathsOfDirectory(atPath: "\(root)/\(folder)").map { "\(folder)/\($0)" }
        }
        .filter { path in
            var isFolder = false
            let exists = FileManager.default.fileExists(atPath: "\(root)/\(path)", isDirectory: &isFolder)
            return exists && !isFolder && !path.contains("/.")
                && (suffixes.isEmpty || suffixes.contains { path.hasSuffix($0) })
        }
        .sorted()
    }

    /// The text of one.
    package static func text(_ path: String) throws -> String {
        try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8)
    }

    package static func lines(_ path: String) throws -> [Substring] {
        try text(path).split(separator: "\n", omittingEmptySubsequences: false)
    }

    package static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(root)/\(path)")
    }
}
