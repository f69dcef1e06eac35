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

extension Plan {
    /// Reads all that a project names and puts it in order. Blocks: it reads every file of every layer.
    ///
    /// - Parameters:
    ///   - layerPath: folders in which layers that others depend on are looked for last.
    /// - Throws: `bad-recipe`, `bad-layer`, `layer-cycle`, `layer-missing`, `not-found`.
    package init(_ project: Project, layerPath: [String] = []) throws {
        switch project {
        case .recipe(let path):
            try self.init(recipe: try Recipe.file(of: path), layerPath: layerPath)
        case .folders(let base, let layers):
            try self.init(base: base, folders: layers, layerPath: layerPath)
        }
    }

    private init(recipe file: String, layerPath: [String]) throws {
        let recipe = try Recipe(text: try Recipe.text(of: file), file: file)
        let folder = Path.parent(of: Path.absolute(file))
        var search = LayerSearch(projectLayers: "\(folder)/layers", layerPath: layerPath.map { Path.absolute($0) })
        for entry in recipe.layers {
            let place = "\(file):\(entry.line)"
            switch (entry.origin, entry.name) {
            case (.local(let path?), let name):
                try search.add(folder: Path.absolute(path, from: folder), name: name, place: place)
            case (.local(nil), let name):
                try search.add(name: name ?? "", place: place)
            case (.git(let url, _), _):
                throw FlashlayerError(
                    .unavailable,
                    "\(place): layers of type \"git\" cannot be fetched yet: \(url.printable)",
                    advice: "clone it and name the folder: type = \"local\", path = \"...\""
                )
            }
        }
        try self.init(
            name: recipe.name,
            version: recipe.version,
            base: recipe.base.pinned(from: folder, place: "\(file):\(recipe.baseLine)"),
            image: recipe.image,
            recommends: recipe.recommends,
            layers: search.resolve()
        )
    }

    private init(base: String?, folders: [String], layerPath: [String]) throws {
        var search = LayerSearch(projectLayers: nil, layerPath: layerPath.map { Path.absolute($0) })
        for folder in folders {
            guard !folder.isEmpty else { throw FlashlayerError(.usage, "--layer needs the path of a layer folder") }
            try search.add(folder: Path.absolute(folder), name: nil, place: "--layer")
        }
        let layers = try search.resolve()
        let named = folders.last.map { Path.name(of: Path.absolute($0)) } ?? base.map { Path.stem(of: $0) }
        let base = base.map { Base.image(path: $0, sha256: nil) } ?? .standard
        try self.init(
            name: named ?? "image",
            version: "0.0.0",
            base: base.pinned(from: Path.absolute("."), place: "--base"),
            image: ImageSettings(),
            recommends: nil,
            layers: layers
        )
    }
}

extension Recipe {
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
            throw FlashlayerError(
                .unavailable,
                "\(place): base images cannot be fetched from a URL yet: \(path.printable)",
                advice: "download it and name the file"
            )
        }
        let absolute = Path.absolute(path, from: folder)
        guard let status = try LayerFiles.status(absolute, followingLinks: true) else {
            throw FlashlayerError(.notFound, "\(place): there is no base image \(absolute.printable)")
        }
        guard status.kind == .file else {
            throw FlashlayerError(.notFound, "\(place): the base image \(absolute.printable) is not a regular file")
        }
        // The file itself: O_NOFOLLOW is for what lies in layers.
        let resolved = try Path.resolved(absolute)
        let digest =
            try sha256 ?? LayerFiles(root: Path.parent(of: resolved)).digest(Path.name(of: resolved)).digest.hex
        return .image(path: absolute, sha256: digest)
    }
}
