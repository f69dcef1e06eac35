// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Rewrites a guest's package sources so that apt on this machine reads them as the guest would: keys are the guest's
/// own, from a copy of its tree. See sources.list(5).
package enum AptSources {
    /// - Parameters:
    ///   - text: a file of the one-line format, `*.list`.
    ///   - root: the folder that holds a copy of the guest's /etc/apt and /usr/share/keyrings.
    package static func rewriteList(_ text: String, root: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            rewriteLine(String(line), root: root)
        }.joined(separator: "\n")
    }

    private static func rewriteLine(_ line: String, root: String) -> String {
        let trimmed = line.drop { $0 == " " || $0 == "\t" }
        guard trimmed.hasPrefix("deb") else { return line }
        var rest = trimmed
        var options = ""
        if let start = rest.firstIndex(of: "["), let end = rest[start...].firstIndex(of: "]") {
            let words = rest[rest.index(after: start)..<end].split { $0 == " " || $0 == "\t" }
            options = words.map { rewriteOption(String($0), root: root) }.joined(separator: " ")
            rest = rest[..<start] + rest[rest.index(after: end)...]
        }
        let words = rest.split { $0 == " " || $0 == "\t" }
        guard words.count >= 2, words[0] == "deb", isReachable(words[1]) else { return "# \(line)" }
        let tail = words.dropFirst().joined(separator: " ")
        return options.isEmpty ? "deb \(tail)" : "deb [\(options)] \(tail)"
    }

    private static func rewriteOption(_ option: String, root: String) -> String {
        let parts = option.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, parts[0].lowercased().hasPrefix("signed-by") else { return option }
        return "\(parts[0])=\(rewriteKeys(parts[1], root: root))"
    }

    /// A list of key files and fingerprints: files are those of the copy.
    private static func rewriteKeys(_ value: String, root: String) -> String {
        value.split { $0 == "," || $0 == " " || $0 == "\t" }
            .map { $0.hasPrefix("/") ? "\(root)\($0)" : String($0) }
            .joined(separator: ",")
    }

    /// What lies on a disk of the guest, or on its CD, cannot be reached from here.
    private static func isReachable(_ address: Substring) -> Bool {
        let schemes = ["http:", "https:", "mirror:", "mirror+http:", "mirror+https:", "tor+http:", "tor+https:"]
        return schemes.contains { address.hasPrefix($0) }
    }

    /// - Parameter text: a file of the deb822 format, `*.sources`.
    package static func rewriteStanzas(_ text: String, root: String) -> String {
        var lines: [String] = []
        var inKeys = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            let isContinuation = line.hasPrefix(" ") || line.hasPrefix("\t")
            if isContinuation, inKeys {
                // A key itself, not the name of a file that holds one, never begins with a slash.
                lines.append(continuation(line, root: root))
                continue
            }
            inKeys = false
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let field = parts[0].lowercased()
            switch (field, parts.count) {
            case ("signed-by", 2):
                inKeys = true
                let value = parts[1].drop { $0 == " " || $0 == "\t" }
                lines.append(
                    value.isEmpty ? "Signed-By:" : "Signed-By: \(spaced(rewriteKeys(String(value), root: root)))"
                )
            case ("uris", 2):
                let addresses = parts[1].split { $0 == " " || $0 == "\t" }.filter { isReachable($0) }
                lines.append("URIs: \(addresses.joined(separator: " "))")
            case ("types", 2):
                lines.append("Types: deb")
            default:
                lines.append(line)
            }
        }
        return stanzas(lines).filter { !$0.contains("URIs: ") }.map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n") + "\n"
    }

    private static func continuation(_ line: String, root: String) -> String {
        let value = line.drop { $0 == " " || $0 == "\t" }
        return value.hasPrefix("/") ? " \(spaced(rewriteKeys(String(value), root: root)))" : line
    }

    private static func spaced(_ keys: String) -> String {
        keys.split(separator: ",").joined(separator: " ")
    }

    private static func stanzas(_ lines: [String]) -> [[String]] {
        lines.split { line in line.allSatisfy { $0 == " " || $0 == "\t" } }.map(Array.init)
    }
}
