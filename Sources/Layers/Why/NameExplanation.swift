// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

extension Plan {
    func mentions(_ parts: Layer.Mention.Part...) -> [(layer: Layer, mention: Layer.Mention)] {
        layers.flatMap { layer in layer.mentions.filter { parts.contains($0.part) }.map { (layer, $0) } }
    }

    /// Who asks for a package, or asks that it is not there.
    ///
    /// - Parameter name: as lists have it, or without its version.
    /// - Returns: nil when nobody does.
    package func explain(package name: String) -> Explanation? {
        let asking = mentions(.debianPackage, .redHatPackage, .pythonPackage).filter { _, mention in
            mention.text == name || mention.packageNames.contains { Layer.Mention.isSame($0, name, mention.part) }
        }
        var settled: [String: Bool] = [:]
        for (_, mention) in asking { settled["\(mention.part) \(mention.subject)"] = mention.isRemoval }
        let asked = asking.map { layer, mention in
            mention.source(
                layer: layer,
                phase: .packages,
                says: mention.text,
                holds: settled["\(mention.part) \(mention.subject)"] == mention.isRemoval
            )
        }
        let sources = asked + needs(package: name)
        guard !sources.isEmpty else { return nil }
        let holding = sources.filter(\.holds)
        let removals = holding.filter { $0.says.hasPrefix("-") }
        let notes =
            removals.isEmpty || removals.count == holding.count
            ? [] : ["some ask for it, and some that it is not there: the package manager decides, or refuses"]
        return Explanation(kind: .package, name: name, sources: sources, notes: notes)
    }

    /// What pip and the settings cannot do without.
    private func needs(package: String) -> [Explanation.Source] {
        var sources: [Explanation.Source] = []
        if !pythonPackages.isEmpty, PipSteps.debianPackages(for: image.python).contains(package) {
            sources += mentions(.pythonPackage).map { layer, mention in
                mention.source(layer: layer, phase: .packages, says: "pip needs it for \(mention.text)")
            }
        }
        if let locale = image.locale, SettingsSteps.debianPackages(for: image).contains(package) {
            sources.append(Explanation.Source(phase: .packages, says: "the locale \(locale) of the recipe needs it"))
        }
        return sources
    }

    /// The package of a layer that was probably meant.
    package func packageNear(_ asked: String) -> String? {
        NearMiss.of(
            asked,
            among: mentions(.debianPackage, .redHatPackage, .pythonPackage).flatMap(\.mention.packageNames)
        )
    }

    /// Who sets an environment variable.
    ///
    /// - Returns: nil when nobody does.
    package func explain(variable key: String) -> Explanation? {
        // Lists and lines go together: `mentions` of variables stand in the order of `environment`.
        let setters = layers.flatMap { layer in
            zip(layer.environment, layer.mentions.filter { $0.part == .variable }).filter { $0.0.key == key }.map {
                $0.1.source(layer: layer, phase: .configs, says: "\($0.0.key)=\($0.0.value)", holds: false)
            }
        }
        var sources = setters
        if !sources.isEmpty { sources[sources.count - 1].holds = true }
        if let argument = arguments.last(where: { $0.key == key }) {
            // Scripts see it over what layers say; /etc/environment does not.
            sources.append(.init(phase: .scripts, says: "--set \(argument.key)=\(argument.value)"))
        }
        guard !sources.isEmpty else { return nil }
        return Explanation(kind: .variable, name: key, sources: sources)
    }

    /// The variable of a layer that was probably meant.
    package func variableNear(_ asked: String) -> String? {
        NearMiss.of(asked, among: layers.flatMap(\.environment).map(\.key) + arguments.map(\.key))
    }
}

extension Layer.Mention {
    /// What may stand for the package: its name without version, release, architecture, extras or minus.
    var packageNames: [String] {
        let name = text.hasPrefix("-") ? String(text.dropFirst()) : text
        switch part {
        case .debianPackage: return [String(name.prefix { !"=/:".contains($0) })]
        case .pythonPackage: return [String(name.prefix { $0.isLetter || $0.isNumber || "-_.".contains($0) })]
        // `curl-7.76*` does not say where its name ends: every part up to a minus may be it.
        case .redHatPackage:
            var names = [name]
            for index in name.indices where name[index] == "-" { names.append(String(name[..<index])) }
            return names
        case .variable: return []
        }
    }

    /// PEP 503 for Python's packages: case counts nothing, and `-`, `_` and `.` are the same.
    static func isSame(_ one: String, _ other: String, _ part: Part) -> Bool {
        guard part == .pythonPackage else { return one == other }
        func normal(_ name: String) -> String {
            name.lowercased().split { "-_.".contains($0) }.joined(separator: "-")
        }
        return normal(one) == normal(other)
    }
}
