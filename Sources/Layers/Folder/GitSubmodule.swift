// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// A folder that git has made and not filled: a clone without `--recurse-submodules` leaves its submodules so.
struct GitSubmodule {
    /// Of the repository that it is part of.
    let repository: String
    /// From there.
    let path: String

    var message: String { "the git submodule \(path.printable) has not been fetched" }
    var command: String { "git -C \(repository.shellQuoted) submodule update --init \(path.shellQuoted)" }

    /// The submodule that a folder is or would lie in, if that was not fetched.
    static func notFetched(_ folder: String) -> GitSubmodule? {
        var repository = folder
        while repository != "/" {
            repository = Path.parent(of: repository)
            let files = LayerFiles(root: repository)
            guard let text = try? files.text(".gitmodules") else { continue }
            for path in paths(text) {
                let submodule = Path.absolute(path, from: repository)
                guard folder == submodule || folder.hasPrefix(submodule + "/") else { continue }
                let names = try? LayerFiles(root: submodule).names(in: "")
                if names?.isEmpty ?? true { return GitSubmodule(repository: repository, path: path) }
            }
        }
        return nil
    }

    /// The values of `path = ...`; see gitmodules(5).
    private static func paths(_ text: String) -> [String] {
        LayerList.physicalLines(text).compactMap { line in
            let parts = line.split(separator: "=", maxSplits: 1).map { LayerList.trim($0) }
            guard parts.count == 2, parts[0].lowercased() == "path" else { return nil }
            let value =
                parts[1].hasPrefix("\"") && parts[1].hasSuffix("\"") ? parts[1].dropFirst().dropLast() : parts[1]
            return String(value)
        }
    }
}
