// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// All that is wrong with a project: its recipe, with every variant, and every layer that one of them applies.
package struct Lint: Sendable {
    package let faults: [Fault]
    package let layers: [Findings.Reading]

    /// The recipe of a project, read as far as it goes.
    package struct Reading: Sendable {
        /// nil: it is not even TOML.
        package let recipe: Recipe?
        /// The recipe as it stands, and as each of its variants has it; or only as the one has it that is asked for.
        package let variants: [Recipe]
        fileprivate let faults: [Fault]

        /// - Parameter variant: nil: all of them.
        /// - Throws: `not-found`; `usage` when there is no such variant.
        package init(project path: String, variant: String? = nil) throws {
            let file = try Recipe.file(of: path)
            let findings = Findings()
            recipe = findings.attempt { try Recipe.read(Recipe.text(of: file), file: file, findings) }
            faults = findings.faults
            guard let recipe else {
                variants = []
                return
            }
            let all: [String?] = [nil] + recipe.variants.keys.sorted()
            variants = try (variant == nil ? all : [variant]).map { try recipe.selecting(variant: $0) }
        }
    }

    /// Blocks: reads every file of every layer.
    ///
    /// - Parameter fetched: git layers that are at hand; the others are skipped with a warning.
    package init(_ reading: Reading, layerPath: [String], fetched: Fetched) {
        let findings = Findings()
        for fault in reading.faults { findings.add(fault) }
        for recipe in reading.variants {
            for entry in recipe.layers { Self.reportAbsent(entry, recipe, fetched, findings) }
            var present = recipe
            present.layers.removeAll { Self.isAbsent($0, fetched) }
            let absent = recipe.layers.filter { Self.isAbsent($0, fetched) }.compactMap(\.layerName)
            let layers = LayerSearch.layers(
                of: present,
                layerPath: layerPath,
                fetched: fetched,
                skipping: absent,
                findings
            )
            Contradictions.report(across: layers, findings)
            if case .image(let path, _) = recipe.base, !path.contains("://") {
                let place = "\(recipe.file):\(recipe.baseLine)"
                findings.attempt { try Base.existingImage(path, from: recipe.folder, place: place) }
            }
        }
        faults = findings.faults
        layers = findings.layers
    }

    /// Of layer folders without a recipe.
    package init(base: String?, layers folders: [String], layerPath: [String]) {
        let findings = Findings()
        Contradictions.report(across: LayerSearch.layers(of: folders, layerPath: layerPath, findings), findings)
        if let base {
            findings.attempt { try Base.existingImage(base, from: Path.absolute("."), place: "--base") }
        }
        faults = findings.faults
        layers = findings.layers
    }

    private static func isAbsent(_ entry: Recipe.LayerEntry, _ fetched: Fetched) -> Bool {
        if case .git = entry.origin { fetched.layers[entry.line] == nil } else { false }
    }

    private static func reportAbsent(
        _ entry: Recipe.LayerEntry,
        _ recipe: Recipe,
        _ fetched: Fetched,
        _ findings: Findings
    ) {
        guard case .git(let url, _) = entry.origin, isAbsent(entry, fetched) else { return }
        findings.add(
            Fault(
                .warning,
                .layerMissing,
                file: recipe.file,
                line: entry.line,
                "the layer \(url.printable) is not here, and so was not looked at",
                hint: "flashlayer plan fetches it"
            )
        )
    }
}

extension Recipe.LayerEntry {
    /// What other layers call it.
    var layerName: String? {
        switch origin {
        case .local(let path): name ?? path.map { Path.name(of: $0) }
        case .git(let url, _): name ?? Recipe.layerName(ofRepository: url)
        }
    }
}
