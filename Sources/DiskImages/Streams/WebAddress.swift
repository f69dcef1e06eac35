// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// An http or https URL.
struct WebAddress: Sendable, Equatable {
    let url: String

    /// - Returns: nil for what is no such URL: a path.
    init?(_ location: String) {
        let scheme = location.prefix { $0 != ":" }.lowercased()
        guard scheme == "http" || scheme == "https", location.dropFirst(scheme.count).hasPrefix("://") else {
            return nil
        }
        url = location
    }

    /// What may be shown: without user, password and query, which may be a key.
    var name: String {
        let path = url.prefix { $0 != "?" && $0 != "#" }
        let start = path.firstRange(of: "://")?.upperBound ?? path.startIndex
        let end = path[start...].firstIndex(of: "/") ?? path.endIndex
        guard let at = path[start..<end].lastIndex(of: "@") else { return String(path) }
        return path[..<start] + String(path[path.index(after: at)...])
    }

    /// The last part of its path.
    var fileName: String { name.split(separator: "/").last.map(String.init) ?? "" }

    /// A file in the same folder.
    func beside(_ file: String) -> WebAddress? {
        let path = url.prefix { $0 != "?" && $0 != "#" }
        guard let slash = path.lastIndex(of: "/"), path[..<slash].split(separator: "/").count > 1 else { return nil }
        return WebAddress(path[...slash] + file)
    }
}
