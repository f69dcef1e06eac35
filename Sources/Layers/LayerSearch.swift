// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// Finds the folders of layers: those that the recipe names, and those that other layers depend on.
struct LayerSearch {
    /// The project's `layers/`; nil without a recipe.
    let projectLayers: String?
    /// What `--layer-path` names, in order.
    let layerPath: [String]

    private struct Found {
        let layer: Layer
        let dependencies: [Layer.Dependency]
        let identity: [UInt64]
        /// Named by the recipe or the command line, and so above any search.
        let isNamed: Bool
    }

    private var found: [String: Found] = [:]
    private var roots: [String] = []

    init(projectLayers: String?, layerPath: [String]) {
        self.projectLayers = projectLayers
        self.layerPath = layerPath
    }

    /// Takes in a layer that the recipe or the command line names by its folder.
    ///
    /// - Parameter place: who names it, such as `flashlayer.toml:12`.
    mutating func add(folder: String, name: String?, place: String, source: String = "local") throws {
        guard let status = try LayerFiles.status(folder, followingLinks: true) else {
            throw FlashlayerError(
                .layerMissing,
                "\(place): there is no layer folder \(folder.printable)",
                advice: "correct the path, or make the folder"
            )
        }
        let name = name ?? folder.split(separator: "/").last.map(String.init) ?? folder
        if let known = found[name] {
            guard known.identity != status.identity else { return }
            throw Self.sameName(name, known.layer.path, folder)
        }
        roots.append(name)
        try read(name: name, folder: folder, source: source, status: status, isNamed: true)
    }

    /// Takes in a layer that the recipe names by its name alone.
    mutating func add(name: String, place: String) throws {
        let places = [projectLayers].compactMap { $0 } + layerPath
        guard let folder = try firstFolder(named: name, in: places) else {
            throw Self.missing(name, askedBy: place, lookedIn: places.map { "\($0)/\(name)" })
        }
        try add(folder: folder, name: name, place: place)
    }

    /// Finds what the layers depend on, and puts all in order.
    mutating func resolve() throws -> [Layer] {
        var pending = Array(roots.reversed())
        var visited: Set<String> = []
        while let name = pending.popLast() {
            guard visited.insert(name).inserted, let asking = found[name] else { continue }
            for dependency in asking.dependencies { try find(dependency, askedBy: asking.layer) }
            pending += asking.dependencies.reversed().map(\.name)
        }
        let dependencies = found.mapValues { $0.layer.dependencies }
        return try LayerOrder.order(roots: roots, dependencies: dependencies).compactMap { found[$0]?.layer }
    }

    private mutating func find(_ dependency: Layer.Dependency, askedBy asking: Layer) throws {
        let name = dependency.name
        if found[name]?.isNamed == true { return }
        let parent = asking.path.split(separator: "/").dropLast().joined(separator: "/")
        var places: [String] = []
        for place in ["/" + parent] + [projectLayers].compactMap({ $0 }) + layerPath where !places.contains(place) {
            places.append(place)
        }
        guard let folder = try firstFolder(named: name, in: places) else {
            if found[name] != nil { return }
            throw Self.missing(
                name,
                askedBy: "layer '\(asking.name.printable)' (\(dependency.place))",
                lookedIn: ["the recipe"] + places.map { "\($0)/\(name)" }
            )
        }
        guard let status = try LayerFiles.status(folder, followingLinks: true) else { return }
        if let known = found[name] {
            guard known.identity == status.identity else { throw Self.sameName(name, known.layer.path, folder) }
            return
        }
        try read(name: name, folder: folder, source: "local", status: status, isNamed: false)
    }

    private func firstFolder(named name: String, in places: [String]) throws -> String? {
        try places.map { "\($0)/\(name)" }.first { try LayerFiles.status($0, followingLinks: true) != nil }
    }

    private mutating func read(
        name: String,
        folder: String,
        source: String,
        status: LayerFiles.Status,
        isNamed: Bool
    ) throws {
        guard status.kind == .directory else {
            throw FlashlayerError(
                .badLayer,
                "\(folder.printable) is not a folder",
                advice: "a layer is a folder with configs/, packages/, scripts/, ..."
            )
        }
        let (layer, dependencies) = try LayerReader(path: folder).layer(name: name, source: source)
        found[name] = Found(layer: layer, dependencies: dependencies, identity: status.identity, isNamed: isNamed)
    }

    private static func missing(_ name: String, askedBy: String, lookedIn: [String]) -> FlashlayerError {
        FlashlayerError(
            .layerMissing,
            "the layer '\(name.printable)', which \(askedBy) asks for, was not found; looked in "
                + lookedIn.map(\.printable).joined(separator: ", "),
            advice: "add it to the recipe as a [[layer]], or name the folder that holds it with --layer-path"
        )
    }

    private static func sameName(_ name: String, _ first: String, _ second: String) -> FlashlayerError {
        FlashlayerError(
            .badLayer,
            "two different folders are the layer '\(name.printable)': \(first.printable) and \(second.printable)",
            advice: "rename one of them, or name the one that is meant in the recipe"
        )
    }
}
