// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// Paths as text.
package enum Path {
    /// Without `.` and `..`; links are not resolved.
    ///
    /// - Parameter folder: where a relative path starts, itself absolute; nil: the current folder.
    package static func absolute(_ path: String, from folder: String? = nil) -> String {
        var names: [Substring] = []
        let start = path.hasPrefix("/") ? "" : folder ?? current
        for name in "\(start)/\(path)".split(separator: "/") where name != "." {
            if name == ".." { _ = names.popLast() } else { names.append(name) }
        }
        return "/" + names.joined(separator: "/")
    }

    package static func parent(of path: String) -> String {
        "/" + path.split(separator: "/").dropLast().joined(separator: "/")
    }

    package static func name(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// The name without what follows its last dot.
    static func stem(of path: String) -> String {
        let name = name(of: path)
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return name }
        return String(name[..<dot])
    }

    /// All links resolved; see realpath(3).
    static func resolved(_ path: String) throws -> String {
        // SAFETY: with a null second argument realpath allocates the string that is copied and freed here.
        guard let text = unsafe realpath(path, nil) else {
            throw FlashlayerError.system("read \(path.printable)", .current, code: .notFound)
        }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }

    private static var current: String {
        // SAFETY: with a null buffer getcwd allocates the string that is copied and freed here.
        guard let text = unsafe getcwd(nil, 0) else { return "/" }
        defer { unsafe free(text) }
        return unsafe String(cString: text)
    }
}
