// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// What may stand in a package list. A name goes to the guest's package manager as an argument: what is not a name, an
/// option above all, must not get that far.
enum PackageNames {
    /// `curl`, `curl:arm64`, `curl=7.88*`, `curl/bookworm-backports`, `-nano`; several may share a line.
    static func debian(_ list: LayerList) throws -> [Layer.Mention] {
        try list.lines.flatMap { line in
            try words(line).map { word in
                guard isDebian(word) else {
                    throw list.fault(
                        line,
                        "'\(word.printable)' is not the name of a Debian package",
                        advice: "write name, name=version, name/release, or -name for a package that must not be there"
                    )
                }
                return list.mention(word, line, .debianPackage)
            }
        }
    }

    /// `curl`, `curl-7.76*`, `@development-tools`, `/usr/bin/vim`, `-nano`; several may share a line.
    static func redHat(_ list: LayerList) throws -> [Layer.Mention] {
        try list.lines.flatMap { line in
            try words(line).map { word in
                guard !word.hasPrefix("--"), word != "-", word.isASCIIAlphanumeric(or: "-@/.+_:~^*?()[]=<>") else {
                    throw list.fault(line, "'\(word.printable)' is not the name of a package")
                }
                return list.mention(word, line, .redHatPackage)
            }
        }
    }

    /// Requirement specifiers as pip reads them, one a line; a backslash at the end continues a line.
    static func python(_ text: String, file: String) throws -> [Layer.Mention] {
        let list = LayerList(joiningContinuations(text), file: file, comment: .afterBlank)
        return try list.lines.map { line in
            // Those name files beside the list or repositories of packages; neither is there in the guest.
            guard !line.text.hasPrefix("-") else {
                throw list.fault(
                    line,
                    "pip options such as '\(String(line.text).printable)' have no place in a layer's list",
                    advice: "name the packages here; pip's settings go into configs/etc/pip.conf"
                )
            }
            return list.mention(String(line.text), line, .pythonPackage)
        }
    }

    private static func words(_ line: LayerList.Line) -> [String] {
        line.text.unicodeScalars.split(whereSeparator: LayerList.isBlank).map { String($0) }
    }

    private static func isDebian(_ word: String) -> Bool {
        var rest = word.hasPrefix("-") ? word.dropFirst() : word[...]
        if let separator = rest.firstIndex(where: { $0 == "=" || $0 == "/" }) {
            let choice = rest[rest.index(after: separator)...]
            guard !word.hasPrefix("-"), !choice.isEmpty, choice.isASCIIAlphanumeric(or: ".+-:~*_") else { return false }
            rest = rest[..<separator]
        }
        if let colon = rest.firstIndex(of: ":") {
            let architecture = rest[rest.index(after: colon)...]
            guard !architecture.isEmpty, architecture.isASCIIAlphanumeric(or: "-") else { return false }
            rest = rest[..<colon]
        }
        // Debian Policy 5.6.1. apt reads a trailing minus as "remove": that is written in front here.
        guard rest.utf8.count >= 2, let first = rest.first, String(first).isASCIIAlphanumeric() else { return false }
        return rest.isASCIIAlphanumeric(or: "+-.") && rest == rest.lowercased() && !rest.hasSuffix("-")
    }

    /// pip joins continued lines before it removes comments. The lines keep their numbers.
    private static func joiningContinuations(_ text: String) -> String {
        var joined: [String] = []
        var pending = ""
        var swallowed = 0
        for line in LayerList.physicalLines(text) {
            if line.hasSuffix("\\"), !LayerList.trim(line).hasPrefix("#") {
                pending += line.dropLast() + " "
                swallowed += 1
            } else {
                joined.append(pending + line)
                joined.append(contentsOf: repeatElement("", count: swallowed))
                (pending, swallowed) = ("", 0)
            }
        }
        if !pending.isEmpty { joined.append(pending) }
        return joined.joined(separator: "\n")
    }
}
