// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Model

/// What a build starts from: a recipe, or a base image and layer folders without one.
package enum Project: Sendable, Equatable {
    /// A folder with a `flashlayer.toml`, or such a file.
    case recipe(path: String)
    /// `base` nil: the standard bootstrap.
    case folders(base: String?, layers: [String])
}

/// What was brought here of all that a project names and that lies elsewhere.
package struct Fetched: Sendable {
    package struct GitLayer: Sendable, Equatable {
        /// The folder that holds the commit, absolute.
        package let folder: String
        /// "git URL#COMMIT"
        package let source: String

        package init(folder: String, source: String) {
            self.folder = folder
            self.source = source
        }
    }

    /// By the line of their entries in the recipe.
    package var layers: [Int: GitLayer]
    /// With an absolute path and its digest; nil: to be found and digested.
    package var base: Base?

    package init(layers: [Int: GitLayer] = [:], base: Base? = nil) {
        self.layers = layers
        self.base = base
    }
}

extension Plan {
    /// Reads all that a project names and puts it in order. Blocks: it reads every file of every layer.
    ///
    /// - Parameters:
    ///   - layerPath: folders in which layers that others depend on are looked for last.
    ///   - variant: of the recipe; nil: the recipe as it stands.
    ///   - fetched: what does not lie on this machine by itself.
    /// - Throws: `bad-recipe`, `bad-layer`, `layer-cycle`, `layer-missing`, `not-found`, `usage`.
    package init(
        _ project: Project,
        layerPath: [String] = [],
        variant: String? = nil,
        arguments: [Layer.Variable] = [],
        fetched: Fetched = Fetched()
    ) throws {
        switch project {
        case .recipe(let path):
            let recipe = try Recipe(project: path).selecting(variant: variant)
            try self.init(recipe, layerPath: layerPath, fetched: fetched)
        case .folders(let base, let layers):
            if let variant {
                throw FlashlayerError(
                    .usage,
                    "--variant \(variant.printable) names a variant of a recipe, and there is none"
                )
            }
            try self.init(base: base, folders: layers, layerPath: layerPath, fetched: fetched)
        }
        self.arguments = arguments
    }

    private init(_ recipe: Recipe, layerPath: [String], fetched: Fetched) throws {
        let findings = Findings()
        let layers = LayerSearch.layers(of: recipe, layerPath: layerPath, fetched: fetched, findings)
        try findings.throwErrors()
        try self.init(
            name: recipe.name,
            version: recipe.version,
            variant: recipe.variant,
            base: fetched.base
                ?? recipe.base.pinned(from: recipe.folder, place: "\(recipe.file):\(recipe.baseLine)"),
            image: recipe.image,
            recommends: recipe.recommends,
            layers: layers,
            users: recipe.users,
            bootTest: recipe.bootTest,
            exports: recipe.outputs.images,
            layerExports: recipe.outputs.layers,
            hardware: recipe.hardware
        )
    }

    private init(base: String?, folders: [String], layerPath: [String], fetched: Fetched) throws {
        let findings = Findings()
        let layers = LayerSearch.layers(of: folders, layerPath: layerPath, findings)
        try findings.throwErrors()
        let named = folders.last.map { Path.name(of: Path.absolute($0)) } ?? base.map { Path.stem(of: $0) }
        let given = base.map { Base.image(path: $0, sha256: nil) } ?? .standard
        try self.init(
            name: named ?? "image",
            version: "0.0.0",
            base: fetched.base ?? given.pinned(from: Path.absolute("."), place: "--base"),
            image: ImageSettings(),
            recommends: nil,
            layers: layers
        )
    }
}

extension LayerSearch {
    /// All that a recipe names and what that depends on, in order, as far as it could be read.
    ///
    /// - Parameter absent: names of layers that are elsewhere.
    static func layers(
        of recipe: Recipe,
        layerPath: [String],
        fetched: Fetched,
        skipping absent: [String] = [],
        _ findings: Findings
    ) -> [Layer] {
        let folder = recipe.folder
        let layerPath = layerPath.map { Path.absolute($0) }
        var search = LayerSearch(projectLayers: "\(folder)/layers", layerPath: layerPath, findings)
        for name in absent { search.skip(name) }
        for entry in recipe.layers {
            let place = "\(recipe.file):\(entry.line)"
            findings.attempt {
                switch (entry.origin, entry.name) {
                case (.local(let path?), let name):
                    try search.add(folder: Path.absolute(path, from: folder), name: name, place: place)
                case (.local(nil), let name):
                    try search.add(name: name ?? "", place: place)
                case (.git(let url, _), let name):
                    let name = name ?? Recipe.layerName(ofRepository: url)
                    guard let layer = fetched.layers[entry.line] else {
                        throw FlashlayerError(
                            .layerMissing,
                            "\(place): the layer \(url.printable) has not been fetched"
                        )
                    }
                    try search.add(folder: layer.folder, name: name, place: place, source: layer.source)
                }
            }
        }
        return search.resolve()
    }

    /// The layers that a command line names and what they depend on.
    static func layers(of folders: [String], layerPath: [String], _ findings: Findings) -> [Layer] {
        var search = LayerSearch(projectLayers: nil, layerPath: layerPath.map { Path.absolute($0) }, findings)
        for folder in folders {
            findings.attempt {
                guard !folder.isEmpty else {
                    throw FlashlayerError(.usage, "--layer needs the path of a layer folder")
                }
                try search.add(folder: Path.absolute(folder), name: nil, place: "--layer")
            }
        }
        return search.resolve()
    }
}

extension Recipe {
    /// Reads the recipe of a project: a folder, or the file itself.
    package init(project path: String) throws {
        let file = try Self.file(of: path)
        try self.init(text: try Self.text(of: file), file: file)
    }

    /// The folder that relative paths start from, absolute.
    package var folder: String { Path.parent(of: Path.absolute(file)) }

    /// `https://git.example/os-ubuntu.git` -> `os-ubuntu`
    package static func layerName(ofRepository url: String) -> String {
        let name = url.split { $0 == "/" || $0 == ":" }.last.map(String.init) ?? url
        return name.hasSuffix(".git") ? String(name.dropLast(4)) : name
    }

    /// The recipe of a project, as the user would name it.
    ///
    /// - Throws: `not-found`.
    static func file(of project: String) throws -> String {
        let status = try LayerFiles.status(project, followingLinks: true)
        if status?.kind == .file { return project }
        let file = project == "." ? fileName : project.hasSuffix("/") ? project + fileName : "\(project)/\(fileName)"
        if try LayerFiles.status(file, followingLinks: true)?.kind == .file { return file }
        throw FlashlayerError(
            .notFound,
            status == nil ? "there is no project \(project.printable)" : "there is no recipe \(file.printable)",
            advice: "name a folder that holds a \(fileName), or do without: --base IMAGE --layer FOLDER"
        )
    }

    static func text(of file: String) throws -> String {
        let bytes: Data
        do {
            bytes = try Data(contentsOf: URL(filePath: Path.absolute(file)))
        } catch {
            throw FlashlayerError(.notFound, "cannot read the recipe \(file.printable)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FlashlayerError(.badRecipe, "\(file.printable) is not a text file in UTF-8")
        }
        return text
    }
}

extension Base {
    /// The base with its path made absolute and its content pinned by a digest.
    func pinned(from folder: String, place: String) throws -> Base {
        guard case .image(let path, let sha256) = self else { return self }
        guard !path.contains("://") else {
            throw FlashlayerError(.notFound, "\(place): the base image \(path.printable) has not been fetched")
        }
        let absolute = try Self.existingImage(path, from: folder, place: place)
        // The file itself: O_NOFOLLOW is for what lies in layers.
        let resolved = try Path.resolved(absolute)
        let digest =
            try sha256
            ?? LayerFiles(root: Path.parent(of: resolved)).digest(Pathname(Path.name(of: resolved))).digest.hex
        return .image(path: absolute, sha256: digest)
    }

    /// The absolute path of an image that is there.
    ///
    /// - Throws: `not-found`.
    package static func existingImage(_ path: String, from folder: String, place: String) throws -> String {
        let absolute = Path.absolute(path, from: folder)
        guard let status = try LayerFiles.status(absolute, followingLinks: true) else {
            throw FlashlayerError(.notFound, "\(place): there is no base image \(absolute.printable)")
        }
        guard status.kind == .file else {
            throw FlashlayerError(.notFound, "\(place): the base image \(absolute.printable) is not a regular file")
        }
        return absolute
    }
}
