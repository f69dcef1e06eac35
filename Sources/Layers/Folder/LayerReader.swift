// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model

extension Layer {
    /// A name in `layer-dependencies`, with where it stands.
    struct Dependency {
        let name: String
        /// `FILE:LINE`
        let place: String
    }

    /// Reads a layer folder.
    ///
    /// - Parameters:
    ///   - name: what recipe and other layers call it.
    ///   - path: the folder, absolute.
    /// - Throws: `bad-layer`, naming the file and, where there is one, the line of each fault.
    package init(name: String, path: String, source: String) throws {
        let findings = Findings()
        let read = LayerReader(path: path, findings).layer(name: name, source: source)
        try findings.throwErrors()
        guard let read else { throw FlashlayerError(.fault, "the layer \(path.printable) could not be read") }
        self = read.layer
    }
}

/// Reads a layer folder and tells all that is wrong with it.
struct LayerReader {
    private let files: LayerFiles
    private let findings: Findings

    init(path: String, _ findings: Findings) {
        files = LayerFiles(root: path)
        self.findings = findings
    }

    /// - Returns: what could be read; nil when the folder is no layer.
    func layer(name: String, source: String) -> (layer: Layer, dependencies: [Layer.Dependency])? {
        let present = presentFiles()
        let folders = [LayerSpellings.configs, LayerSpellings.scripts].filter(has)
        StrayFiles(files: files, findings: findings).look()
        guard !present.isEmpty || !folders.isEmpty else {
            reportNoLayer()
            return nil
        }
        findings.add(.init(name: name, path: files.root, read: present + folders.map { $0 + "/" }))
        let dependencies = dependencies(present)
        let overlay = overlay(present)
        let scripts = scripts()
        let debian = packages(LayerSpellings.debianPackages, present) { PackageNames.debian($0, findings) }
        let redHat = packages(LayerSpellings.redHatPackages, present) { PackageNames.redHat($0, findings) }
        let python = PythonRequirements.read(texts(LayerSpellings.pythonPackages, present), findings)
        reportRepeated(python.filter { !$0.text.hasPrefix("-") })
        let environment = texts(LayerSpellings.environment, present).flatMap {
            EnvironmentFile.variables($0.text, file: $0.file, findings)
        }
        reportRepeated(environment.map(\.mention))
        guard let digest = findings.attempt({ try digest(present, overlay, scripts) }) else { return nil }
        let layer = Layer(
            name: name,
            path: files.root,
            source: source,
            digest: digest,
            dependencies: dependencies.map(\.name),
            debianPackages: debian.map(\.text),
            redHatPackages: redHat.map(\.text),
            pythonPackages: python.map(\.text),
            environment: environment.map(\.variable),
            overlay: overlay,
            scripts: scripts,
            mentions: debian + redHat + python + environment.map(\.mention)
        )
        return (layer, dependencies)
    }

    private func reportNoLayer() {
        if let submodule = GitSubmodule.notFetched(files.root) {
            findings.error(files.root, submodule.message, hint: submodule.command)
            return
        }
        findings.error(
            files.root,
            "no layer: it has neither configs/, packages/, scripts/, environment nor layer-dependencies",
            hint: "name the folder that has them"
        )
    }

    // MARK: - Files

    /// Those of `LayerSpellings.files` that the layer has.
    private func presentFiles() -> [String] {
        let folders = LayerSpellings.folders.filter { folder in
            guard let status = findings.attempt({ try files.status(Pathname(folder)) }) ?? nil else { return false }
            guard status.kind == .directory else {
                findings.error(path(folder), "not a folder", hint: Self.hint(status))
                return false
            }
            return true
        }
        return LayerSpellings.files.filter { file in
            if let slash = file.firstIndex(of: "/"), !folders.contains(String(file[..<slash])) { return false }
            guard let status = findings.attempt({ try files.status(Pathname(file)) }) ?? nil else { return false }
            guard status.kind == .file else {
                findings.error(path(file), "not a regular file", hint: Self.hint(status))
                return false
            }
            return true
        }
    }

    private static func hint(_ status: LayerFiles.Status) -> String? {
        status.kind == .symlink ? "links in a layer are not followed: put the thing itself there" : nil
    }

    /// Whether there is anything of that name.
    private func has(_ folder: String) -> Bool {
        (findings.attempt { try files.status(Pathname(folder)) } ?? nil) != nil
    }

    private func path(_ file: String) -> String { "\(files.root)/\(file)" }

    private func texts(_ spellings: [String], _ present: [String]) -> [(file: String, text: String)] {
        spellings.filter(present.contains).compactMap { file in
            guard let text = findings.attempt({ try files.text(Pathname(file)) }) else { return nil }
            if text == nil { findings.error(path(file), "not a text file in UTF-8") }
            return text.map { (path(file), $0) }
        }
    }

    private func lists(_ spellings: [String], _ present: [String]) -> [LayerList] {
        texts(spellings, present).map { LayerList($0.text, file: $0.file, comment: .anywhere) }
    }

    // MARK: - Parts

    private func dependencies(_ present: [String]) -> [Layer.Dependency] {
        var seen: [String: String] = [:]
        return lists(LayerSpellings.dependencies, present).flatMap { list in
            list.lines.compactMap { line in
                let name = String(line.text)
                guard !name.contains("/"), !name.hasPrefix(".") else {
                    findings.error(
                        list.file,
                        line.number,
                        "'\(name.printable)' is not the name of a layer",
                        hint: "layer-dependencies holds names; where layers lie is said by the recipe or --layer-path"
                    )
                    return nil
                }
                if let first = seen[name] {
                    findings.warn(list.file, line.number, "'\(name.printable)' stands already at \(first)")
                    return nil
                }
                let place = "\(list.file.printable):\(line.number)"
                seen[name] = place
                return Layer.Dependency(name: name, place: place)
            }
        }
    }

    private func overlay(_ present: [String]) -> [OverlayEntry] {
        let read = OverlayReader(files: files, findings: findings).read()
        var entries = read.entries
        for list in lists(LayerSpellings.owners, present) { OwnersFile.apply(list, to: &entries, findings) }
        for entry in entries {
            guard case .file = entry.kind, let line = read.privateKeys[entry.path] else { continue }
            if entry.hasOwnersLine, entry.mode & 0o077 == 0 { continue }
            findings.warn(
                entry.source.text,
                line,
                "a private key, which every machine that gets the image would have",
                hint: "let each make its own; if this is meant, say so in owners: \(entry.path) 0:0 0600"
            )
        }
        for entry in entries where !entry.hasOwnersLine {
            guard let mode = read.writable[entry.path] else { continue }
            findings.warn(
                entry.source.text,
                "everybody may write to it here (\(String(mode, radix: 8))), and not in the guest "
                    + "(\(String(entry.mode, radix: 8)))",
                hint: "chmod o-w; if it is meant, say so in owners: \(entry.path) 0:0 \(String(mode, radix: 8))"
            )
        }
        return entries
    }

    private func packages(
        _ spellings: [String],
        _ present: [String],
        _ read: (LayerList) -> [Layer.Mention]
    ) -> [Layer.Mention] {
        let mentions = lists(spellings, present).flatMap(read)
        reportRepeated(mentions)
        Contradictions.report(within: mentions, findings)
        return mentions
    }

    private func reportRepeated(_ mentions: [Layer.Mention]) {
        var seen: [String: Layer.Mention] = [:]
        for mention in mentions {
            let name = mention.part == .debianPackage ? "\(mention.isRemoval) \(mention.subject)" : mention.text
            guard let first = seen[name] else {
                seen[name] = mention
                continue
            }
            let otherwise = first.text == mention.text ? "" : ", as '\(first.text)'"
            findings.warn(
                mention.file,
                mention.line,
                "'\(mention.text.printable)' stands already at \(first.place)\(otherwise)"
            )
        }
    }

    private func scripts() -> [Layer.Script] {
        let folder = Pathname(LayerSpellings.scripts)
        guard let status = findings.attempt({ try files.status(folder) }) ?? nil else { return [] }
        guard status.kind == .directory else {
            findings.error(path(LayerSpellings.scripts), "not a folder", hint: Self.hint(status))
            return []
        }
        let names = findings.attempt { try files.names(in: folder) } ?? []
        return names.compactMap { ScriptFile(folder: folder, name: $0, files: files, findings: findings).script() }
    }

    /// Of all that counts in the folder; not of where it lies, of times, or of what umask leaves to chance.
    private func digest(_ present: [String], _ overlay: [OverlayEntry], _ scripts: [Layer.Script]) throws -> Digest {
        struct Content: Encodable {
            var files: [String: Digest] = [:]
            var overlay: [OverlayEntry] = []
            var scripts: [String: Digest] = [:]
        }
        var content = Content()
        for file in present { content.files[file] = try files.digest(Pathname(file)).digest }
        content.overlay = overlay.map(\.withoutSource)
        for script in scripts { content.scripts[script.name] = script.digest }
        return try CanonicalDigest.of(content)
    }
}

extension Layer.Mention {
    var place: String { "\(file.printable):\(line)" }
}
