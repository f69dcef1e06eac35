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
    /// - Throws: `bad-layer`, naming the file and, where there is one, the line.
    package init(name: String, path: String, source: String) throws {
        self = try LayerReader(path: path).layer(name: name, source: source).layer
    }
}

struct LayerReader {
    private let files: LayerFiles

    init(path: String) {
        files = LayerFiles(root: path)
    }

    func layer(name: String, source: String) throws -> (layer: Layer, dependencies: [Layer.Dependency]) {
        let present = try presentFiles()
        guard try !present.isEmpty || has(LayerSpellings.configs) || has(LayerSpellings.scripts) else {
            throw FlashlayerError(
                .badLayer,
                "\(files.root.printable) is no layer: it has neither configs/, packages/, scripts/, "
                    + "environment nor layer-dependencies"
            )
        }
        let dependencies = try dependencies(present)
        var overlay = try OverlayReader(files: files).entries()
        for file in LayerSpellings.owners where present.contains(file) {
            try OwnersFile.apply(try list(file), to: &overlay)
        }
        let scripts = try scripts()
        let debian = try LayerSpellings.debianPackages.filter(present.contains)
            .flatMap { try PackageNames.debian(try list($0)) }
        let redHat = try LayerSpellings.redHatPackages.filter(present.contains)
            .flatMap { try PackageNames.redHat(try list($0)) }
        let python = try LayerSpellings.pythonPackages.filter(present.contains)
            .flatMap { try PackageNames.python(try files.text(Pathname($0)), file: path($0)) }
        let environment = try LayerSpellings.environment.filter(present.contains)
            .flatMap { try EnvironmentFile.variables(try files.text(Pathname($0)), file: path($0)) }
        let layer = Layer(
            name: name,
            path: files.root,
            source: source,
            digest: try digest(present, overlay, scripts),
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

    /// Those of `LayerSpellings.files` that the layer has.
    private func presentFiles() throws -> [String] {
        let folders = try LayerSpellings.folders.filter { folder in
            guard let status = try files.status(Pathname(folder)) else { return false }
            guard status.kind == .directory else {
                throw FlashlayerError(.badLayer, "\(files.path(Pathname(folder))) is not a folder")
            }
            return true
        }
        return try LayerSpellings.files.filter { file in
            if let slash = file.firstIndex(of: "/"), !folders.contains(String(file[..<slash])) { return false }
            guard let status = try files.status(Pathname(file)) else { return false }
            guard status.kind == .file else {
                throw FlashlayerError(
                    .badLayer,
                    "\(files.path(Pathname(file))) is not a regular file",
                    advice: status.kind == .symlink
                        ? "links in a layer are not followed: put the file itself there" : nil
                )
            }
            return true
        }
    }

    private func path(_ file: String) -> String { "\(files.root)/\(file)" }

    /// A script's name is part of messages, of the log and of keys.
    private func scriptName(_ name: Pathname) throws -> String {
        guard let string = name.string else {
            throw FlashlayerError(
                .badLayer,
                "\(files.path(Pathname(LayerSpellings.scripts).appending(name))): the name of a script must be UTF-8",
                advice: "rename it"
            )
        }
        return string
    }

    private func has(_ folder: String) throws -> Bool { try files.status(Pathname(folder)) != nil }

    private func list(_ file: String, _ comment: LayerList.Comment = .anywhere) throws -> LayerList {
        LayerList(try files.text(Pathname(file)), file: path(file), comment: comment)
    }

    private func dependencies(_ present: [String]) throws -> [Layer.Dependency] {
        var seen: Set<String> = []
        return try LayerSpellings.dependencies.filter(present.contains).flatMap { file in
            let list = try list(file)
            return try list.lines.map { line in
                let name = String(line.text)
                guard !name.contains("/"), !name.hasPrefix(".") else {
                    throw list.fault(
                        line,
                        "'\(name.printable)' is not the name of a layer",
                        advice: "layer-dependencies holds names; where layers lie is said by the recipe or --layer-path"
                    )
                }
                return Layer.Dependency(name: name, place: "\(list.file.printable):\(line.number)")
            }
        }.filter { seen.insert($0.name).inserted }
    }

    private func scripts() throws -> [Layer.Script] {
        guard let status = try files.status(Pathname(LayerSpellings.scripts)) else { return [] }
        guard status.kind == .directory else {
            throw FlashlayerError(.badLayer, "\(path(LayerSpellings.scripts).printable) is not a folder")
        }
        return try files.names(in: Pathname(LayerSpellings.scripts)).map(scriptName).filter { !isLeftover($0) }.map {
            name in
            let file = "\(LayerSpellings.scripts)/\(name)"
            let path = path(file)
            guard try files.status(Pathname(file))?.kind == .file else {
                throw FlashlayerError(
                    .badLayer,
                    "\(path.printable) is not a regular file; scripts/ holds the scripts and nothing else"
                )
            }
            try checkShebang(file)
            return Layer.Script(name: name, path: path, digest: try files.digest(Pathname(file)).digest)
        }
    }

    /// Hidden files, and what editors leave behind.
    private func isLeftover(_ name: String) -> Bool {
        name.hasPrefix(".") || name.hasSuffix("~") || name.hasSuffix(".swp") || name.hasPrefix("#")
    }

    /// The kernel reads no further than 256 bytes for the interpreter; see execve(2).
    private func checkShebang(_ file: String) throws {
        let head = try files.head(Pathname(file), count: 256)
        let path = path(file).printable
        let line = head.prefix { $0 != UInt8(ascii: "\n") }
        let interpreter = line.dropFirst(2).drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard head.starts(with: Array("#!".utf8)), interpreter.first == UInt8(ascii: "/") else {
            throw FlashlayerError(
                .badLayer,
                "\(path):1: the script does not start with #! and the path of an interpreter",
                advice: "make its first line #!/bin/bash, or whatever runs it"
            )
        }
        guard !line.contains(UInt8(ascii: "\r")) else {
            throw FlashlayerError(
                .badLayer,
                "\(path):1: the line ends in a carriage return, which the kernel takes for part of the interpreter's name",
                advice: "save the script with Unix line endings: sed -i 's/\\r$//' \(path)"
            )
        }
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
