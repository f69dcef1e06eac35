// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Layers

/// How two guests differ. The names of the properties are those of `diff --json`.
package struct ContentDifference: Codable, Sendable, Equatable {
    /// What the first has and the second has; nil: nothing.
    package struct Change: Codable, Sendable, Equatable {
        package var name: String
        package var before: String?
        package var after: String?

        package init(name: String, before: String?, after: String?) {
            self.name = name
            self.before = before
            self.after = after
        }
    }

    package struct FileChange: Codable, Sendable, Equatable {
        /// With its leading slash.
        package var path: String
        /// `added`, `removed`, or all that changed: `type`, `content`, `link`, `mode`, `owner`, `attributes`.
        package var changes: [String]
        package var before: GuestContent.Entry?
        package var after: GuestContent.Entry?
    }

    /// By name and architecture; the values are versions.
    package var packages: [Change]
    /// Variables of /etc/environment.
    package var environment: [Change]
    /// In the order of the bytes of their paths.
    package var files: [FileChange]

    package var isEmpty: Bool { packages.isEmpty && environment.isEmpty && files.isEmpty }

    /// No difference at all.
    package init() {
        packages = []
        environment = []
        files = []
    }

    package init(_ before: GuestContent, _ after: GuestContent) {
        packages = Self.changes(Self.versions(before.packages), Self.versions(after.packages))
        environment = Self.changes(Self.variables(before.environment), Self.variables(after.environment))
        let paths = Set(before.entries.keys).union(after.entries.keys)
        files = paths.compactMap { path in
            let (first, second) = (before.entries[path], after.entries[path])
            let changes = Self.changes(first, second)
            if changes.isEmpty { return nil }
            return FileChange(path: "/\(path)", changes: changes, before: first, after: second)
        }.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
    }

    private static func changes(_ before: GuestContent.Entry?, _ after: GuestContent.Entry?) -> [String] {
        guard let before else { return ["added"] }
        guard let after else { return ["removed"] }
        guard before.type == after.type else { return ["type"] }
        var changes: [String] = []
        if before.content != after.content || before.size != after.size {
            changes.append(before.type == "l" ? "link" : "content")
        }
        if before.mode != after.mode { changes.append("mode") }
        if (before.user, before.group) != (after.user, after.group) { changes.append("owner") }
        if before.attributes ?? [:] != after.attributes ?? [:] { changes.append("attributes") }
        return changes
    }

    private static func changes(_ before: [String: String], _ after: [String: String]) -> [Change] {
        Set(before.keys).union(after.keys).sorted().compactMap { name in
            before[name] == after[name] ? nil : Change(name: name, before: before[name], after: after[name])
        }
    }

    /// A package may be there several times: kernels, and other architectures' libraries.
    private static func versions(_ packages: [GuestContent.Package]) -> [String: String] {
        let architectures = Dictionary(grouping: packages, by: \.name).mapValues { Set($0.map(\.architecture)).count }
        return Dictionary(
            packages.map { package in
                let isAmbiguous = architectures[package.name, default: 1] > 1
                return (isAmbiguous ? "\(package.name):\(package.architecture)" : package.name, package.version)
            }
        ) { "\($0), \($1)" }
    }

    private static func variables(_ text: String?) -> [String: String] {
        let lines = (text ?? "").split(separator: "\n").map { $0.drop { $0 == " " || $0 == "\t" } }
        let pairs = lines.compactMap { line -> (String, String)? in
            guard !line.hasPrefix("#"), let equals = line.firstIndex(of: "=") else { return nil }
            return (String(line[..<equals]), String(line[line.index(after: equals)...]))
        }
        return Dictionary(pairs) { _, last in last }
    }
}
