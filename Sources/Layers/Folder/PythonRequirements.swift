// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Python packages, as pip reads its requirements files: what pip understands is passed through, and what would name a
/// file of this machine is told, since the guest has no such file.
enum PythonRequirements {
    /// - Returns: the lines, continued ones as one: requirements, and options for all of them.
    static func read(_ texts: [(file: String, text: String)], _ findings: Findings) -> [Layer.Mention] {
        texts.flatMap { file, text in
            let list = LayerList(joiningContinuations(text), file: file, comment: .afterBlank)
            return list.lines.compactMap { line -> Layer.Mention? in
                let text = String(line.text)
                if let fault = text.hasPrefix("-") ? fault(ofOptions: text) : fault(of: text) {
                    findings.error(file, line.number, fault.message, hint: fault.hint)
                    return nil
                }
                return list.mention(text, line, .pythonPackage)
            }
        }
    }

    private typealias Complaint = (message: String, hint: String?)

    // MARK: - Options

    private static let flags: Set = ["--pre", "--prefer-binary", "--require-hashes", "--no-index"]
    private static let locations: Set = ["-i", "--index-url", "--extra-index-url", "-f", "--find-links"]
    private static let words: Set = ["--no-binary", "--only-binary", "--trusted-host", "--use-feature"]
    private static let refused = [
        "-r": "names another list", "--requirement": "names another list", "-c": "names another list",
        "--constraint": "names another list", "-e": "keeps a folder of sources in use",
        "--editable": "keeps a folder of sources in use",
    ]

    /// "Supported options" in pip's "Requirements File Format".
    private static func fault(ofOptions text: String) -> Complaint? {
        var tokens = words(text)[...]
        while let token = tokens.popFirst() {
            guard token.hasPrefix("-") else { return ("'\(token.printable)' belongs to no option", nil) }
            let isLong = token.hasPrefix("--")
            let name = isLong ? String(token.prefix { $0 != "=" }) : String(token.prefix(2))
            if let reason = refused[name] {
                let hint = "a layer may have several lists, and several layers are installed together: write it here"
                return ("pip's \(name) \(reason), which the guest does not have", hint)
            }
            if flags.contains(name), token == name { continue }
            guard locations.contains(name) || words.contains(name) else {
                let hint = "pip's other settings go into configs/etc/pip.conf"
                return ("'\(token.printable)' is not an option that pip takes in a list", hint)
            }
            let attached = token.dropFirst(name.count + (isLong ? 1 : 0))
            guard let value = attached.isEmpty && token == name ? tokens.popFirst() : String(attached), !value.isEmpty
            else { return ("pip's \(name) needs a value", nil) }
            if locations.contains(name), let fault = fault(ofLocation: value) { return fault }
        }
        return nil
    }

    // MARK: - Requirements

    private static let archives = [".whl", ".tar.gz", ".tar.bz2", ".zip"]
    private static let own: Set = ["--hash", "--config-settings", "--config-setting", "--global-option"]

    private static func fault(of requirement: String) -> Complaint? {
        let tokens = words(requirement)
        for token in tokens where token.hasPrefix("--") {
            guard own.contains(String(token.prefix { $0 != "=" })) else {
                return ("'\(token.printable)' is not an option of a single requirement", "give it a line of its own")
            }
        }
        let name = requirement.prefix { $0.isASCIIPackageName }
        var rest = LayerList.trim(requirement[name.endIndex...])
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            rest = LayerList.trim(rest[rest.index(after: end)...])
        }
        if rest.hasPrefix("@") { return fault(ofLocation: String(LayerList.trim(rest.dropFirst()))) }
        if requirement.contains("://") { return fault(ofLocation: requirement) }
        let first = tokens.first ?? ""
        if requirement.hasPrefix("file:") || "./~\\".contains(requirement.prefix(1)) || first.contains("/")
            || archives.contains(where: first.hasSuffix)
        {
            return localFile(first)
        }
        guard let start = name.unicodeScalars.first, start != "-", start != ".", start != "_",
            rest.isEmpty || "(<>=!~;-".contains(rest.prefix(1))
        else {
            return ("'\(requirement.printable)' is not a requirement of pip", "for example: flask[async]>=2,<3")
        }
        return nil
    }

    /// A URL, such as `git+https://host/repository@tag#egg=name`.
    private static func fault(ofLocation text: String) -> Complaint? {
        guard let end = text.firstRange(of: "://")?.lowerBound, !text.hasPrefix("file") else { return localFile(text) }
        let scheme = text[..<end]
        guard !scheme.isEmpty, !scheme.hasSuffix("+file"), scheme.isASCIIAlphanumeric(or: "+-.") else {
            return localFile(text)
        }
        return nil
    }

    private static func localFile(_ text: String) -> Complaint {
        (
            "'\(text.printable)' names a file, which the guest does not have",
            "name the package or a URL; or put the file into configs/ and install it in a script"
        )
    }

    private static func words(_ text: String) -> [String] {
        text.unicodeScalars.split(whereSeparator: LayerList.isBlank).map { String($0) }
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
                // The number is that of the line it starts at.
                joined.append(pending + line)
                joined.append(contentsOf: repeatElement("", count: swallowed))
                (pending, swallowed) = ("", 0)
            }
        }
        if !pending.isEmpty { joined.append(pending) }
        return joined.joined(separator: "\n")
    }
}

extension Character {
    fileprivate var isASCIIPackageName: Bool { isASCII && (isLetter || isNumber || "._-".contains(self)) }
}
