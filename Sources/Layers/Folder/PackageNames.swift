// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// What may stand in a package list. A name goes to the guest's package manager as an argument: what is not a name, an
/// option above all, must not get that far.
enum PackageNames {
    /// `curl`, `curl:arm64`, `curl=7.88*`, `curl/bookworm-backports`, `-nano`; several may share a line.
    static func debian(_ list: LayerList, _ findings: Findings) -> [Layer.Mention] {
        list.lines.flatMap { line in
            words(line).compactMap { word in
                guard isDebian(word) else {
                    findings.error(
                        list.file,
                        line.number,
                        "'\(word.printable)' is not the name of a Debian package",
                        hint: "write name, name=version, name/release, or -name for a package that must not be there"
                    )
                    return nil
                }
                return list.mention(word, line, .debianPackage)
            }
        }
    }

    /// `curl`, `curl-7.76*`, `@development-tools`, `/usr/bin/vim`, `-nano`; several may share a line.
    static func redHat(_ list: LayerList, _ findings: Findings) -> [Layer.Mention] {
        list.lines.flatMap { line in
            words(line).compactMap { word in
                guard isRedHat(word) else {
                    findings.error(
                        list.file,
                        line.number,
                        "'\(word.printable)' is not the name of a package",
                        hint: "write name, name-version, @group, or -name for a package that must not be there"
                    )
                    return nil
                }
                return list.mention(word, line, .redHatPackage)
            }
        }
    }

    private static func words(_ line: LayerList.Line) -> [String] {
        line.text.unicodeScalars.split(whereSeparator: LayerList.isBlank).map { String($0) }
    }

    /// As dnf(8) has "specifying packages". A comparison needs blanks, and so has no place here; a relative path names a
    /// file that the guest does not have.
    private static func isRedHat(_ word: String) -> Bool {
        let name = word.hasPrefix("-") ? word.dropFirst() : word[...]
        guard let first = name.first, first == "@" || first == "/" || String(first).isASCIIAlphanumeric() else {
            return false
        }
        return name.utf8.count > 1 && name.isASCIIAlphanumeric(or: "-@/.+_:~^*?()[]") || name.isASCIIAlphanumeric()
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
}
