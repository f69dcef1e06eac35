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

    private let findings: Findings
    /// Where the recipe or the command line names them.
    private var named: [String: (place: String, folder: String)] = [:]
    /// What could not be read, and has been told: nobody is told again that it is missing.
    private var unreadable: Set<String> = []
    private var found: [String: Found] = [:]
    private var roots: [String] = []

    init(projectLayers: String?, layerPath: [String], _ findings: Findings) {
        self.projectLayers = projectLayers
        self.layerPath = layerPath
        self.findings = findings
    }

    /// Takes in a layer that the recipe or the command line names by its folder.
    ///
    /// - Parameter place: who names it, such as `flashlayer.toml:12`.
    mutating func add(folder: String, name: String?, place: String, source: String = "local") throws {
        let name = name ?? folder.split(separator: "/").last.map(String.init) ?? folder
        if let first = named[name] {
            let folders = first.folder == folder ? "" : " (\(first.folder.printable), and here \(folder.printable))"
            throw FlashlayerError(
                projectLayers == nil ? .usage : .badRecipe,
                "\(place): the layer '\(name.printable)' is named already, at \(first.place)\(folders)",
                advice: "each layer is applied once: take one of them out, or give it another name"
            )
        }
        named[name] = (place, folder)
        guard let status = try LayerFiles.status(folder, followingLinks: true) else {
            unreadable.insert(name)
            let submodule = GitSubmodule.notFetched(folder)
            throw FlashlayerError(
                .layerMissing,
                "\(place): " + (submodule?.message ?? "there is no layer folder \(folder.printable)"),
                advice: submodule?.command ?? "correct the path, or make the folder"
            )
        }
        roots.append(name)
        read(name: name, folder: folder, source: source, status: status, isNamed: true)
    }

    /// Takes in a layer that the recipe names by its name alone.
    mutating func add(name: String, place: String) throws {
        let places = [projectLayers].compactMap { $0 } + layerPath
        guard let folder = try firstFolder(named: name, in: places) else {
            unreadable.insert(name)
            throw Self.missing(name, askedBy: "it", at: place, lookedIn: places.map { "\($0)/\(name)" })
        }
        try add(folder: folder, name: name, place: place)
    }

    /// A layer that is elsewhere: it is not looked for.
    mutating func skip(_ name: String) {
        unreadable.insert(name)
    }

    /// Finds what the layers depend on, and puts all in order.
    ///
    /// - Returns: what could be found; the rest is among the findings.
    mutating func resolve() -> [Layer] {
        let findings = findings
        var pending = Array(roots.reversed())
        var visited: Set<String> = []
        while let name = pending.popLast() {
            guard visited.insert(name).inserted, let asking = found[name] else { continue }
            for dependency in asking.dependencies { findings.attempt { try find(dependency, askedBy: asking.layer) } }
            pending += asking.dependencies.reversed().map(\.name)
        }
        let dependencies = found.mapValues { $0.layer.dependencies }
        let order = findings.attempt {
            try LayerOrder.order(roots: roots, dependencies: dependencies) { layer, dependency in
                found[layer]?.dependencies.first { $0.name == dependency }?.place
            }
        }
        return (order ?? []).compactMap { found[$0]?.layer }
    }

    private mutating func find(_ dependency: Layer.Dependency, askedBy asking: Layer) throws {
        let name = dependency.name
        if found[name]?.isNamed == true || unreadable.contains(name) { return }
        let parent = asking.path.split(separator: "/").dropLast().joined(separator: "/")
        var places: [String] = []
        for place in ["/" + parent] + [projectLayers].compactMap({ $0 }) + layerPath where !places.contains(place) {
            places.append(place)
        }
        guard let folder = try firstFolder(named: name, in: places) else {
            if found[name] != nil { return }
            throw Self.missing(
                name,
                askedBy: "layer '\(asking.name.printable)'",
                at: dependency.place,
                lookedIn: ["the recipe"] + places.map { "\($0)/\(name)" }
            )
        }
        guard let status = try LayerFiles.status(folder, followingLinks: true) else { return }
        if let known = found[name] {
            guard known.identity == status.identity else { throw Self.sameName(name, known.layer.path, folder) }
            return
        }
        read(name: name, folder: folder, source: "local", status: status, isNamed: false)
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
    ) {
        unreadable.insert(name)
        guard status.kind == .directory else {
            findings.error(
                folder,
                "not a folder",
                hint: "a layer is a folder with configs/, packages/, scripts/, ..."
            )
            return
        }
        guard let (layer, dependencies) = LayerReader(path: folder, findings).layer(name: name, source: source) else {
            return
        }
        unreadable.remove(name)
        found[name] = Found(layer: layer, dependencies: dependencies, identity: status.identity, isNamed: isNamed)
    }

    private static func missing(
        _ name: String,
        askedBy: String,
        at place: String,
        lookedIn: [String]
    ) -> FlashlayerError {
        FlashlayerError(
            .layerMissing,
            "\(place): the layer '\(name.printable)', which \(askedBy) asks for, was not found; looked in "
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
