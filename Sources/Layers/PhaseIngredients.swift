// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model

extension Plan {
    /// What goes into one checkpoint of a phase.
    struct Portion {
        /// See `PlannedPhase.Checkpoint`.
        var layer: String?
        var ingredients: [Ingredient]
    }

    /// One for each checkpoint of the phase, at least one. Whatever a phase puts into the guest is among its ingredients;
    /// nothing is that says where a file lies on this machine.
    func portions(of phase: Phase) throws -> [Portion] {
        switch phase {
        case .base: [Portion(ingredients: baseIngredients)]
        case .packages: [Portion(ingredients: try packageIngredients)]
        case .configs: [Portion(ingredients: try configIngredients)]
        case .scripts: scriptPortions
        case .finish: [Portion(ingredients: finishIngredients)]
        }
    }

    private var baseIngredients: [Ingredient] {
        var ingredients: [Ingredient] = []
        switch base {
        case .bootstrap(let distribution, let suite, let mirror):
            ingredients.append(Ingredient("bootstrap", "\(distribution) \(suite) \(mirror ?? "")"))
            ingredients.append(Ingredient("kernel-arguments", image.kernelArguments.joined(separator: " ")))
        case .image(let path, let sha256):
            ingredients.append(Ingredient("base image", sha256 ?? path))
        }
        if SourceDate.seconds != SourceDate.standard {
            ingredients.append(Ingredient("SOURCE_DATE_EPOCH", "\(SourceDate.seconds)"))
        }
        ingredients.append(Ingredient("firmware", image.firmware.map(\.rawValue).joined(separator: " ")))
        return ingredients + [Ingredient("size", image.size.map { "\($0)" })].compactMap { $0 }
    }

    private var packageIngredients: [Ingredient] {
        get throws {
            var ingredients = [Ingredient("packages.recommends", recommends.map { "\($0)" })].compactMap { $0 }
            // A digest: ingredients are kept where others may read them, and a user has a password.
            ingredients += try users.map { Ingredient("user \($0.name)", try CanonicalDigest.of($0).hex) }
            ingredients += debianPackages.map { Ingredient("package \($0)", "deb") }
            if mayBeRedHat { ingredients += redHatPackages.map { Ingredient("package \($0)", "rpm") } }
            ingredients += pythonPackages.map { Ingredient("Python package \($0)", "pip") }
            if !pythonPackages.isEmpty { ingredients.append(Ingredient("python", "\(image.python.rawValue) \(name)")) }
            return try ingredients + earlyIngredients
        }
    }

    /// The files that a layer's own package sources need.
    package var earlyIngredients: [Ingredient] {
        get throws { try earlyFiles.map { try $0.ingredient } }
    }

    private var configIngredients: [Ingredient] {
        get throws {
            let settings = [
                Ingredient("hostname", image.hostname), Ingredient("timezone", image.timezone),
                Ingredient("locale", image.locale),
            ]
            return try settings.compactMap { $0 } + overlayIngredients
                + environment.map { Ingredient("variable \($0.key)", $0.value) }
        }
    }

    private var scriptPortions: [Portion] {
        let scripted = layers.filter { !$0.scripts.isEmpty }
        guard !scripted.isEmpty else { return [Portion(ingredients: [])] }
        return scripted.map { layer in
            let scripts = layer.scripts.map { Ingredient("script \($0.name) of layer \(layer.name)", $0.digest.hex) }
            let network = Ingredient("network", "\(image.network)")
            let set = arguments.map { Ingredient("argument \($0.key)", $0.value) }
            return Portion(layer: layer.name, ingredients: [Ingredient("layer", layer.name), network] + set + scripts)
        }
    }

    private var finishIngredients: [Ingredient] {
        var ingredients = [Ingredient("grow", "\(image.grow)")]
        // A bootstrapped base has them already.
        if !isBootstrap {
            ingredients.append(Ingredient("kernel-arguments", image.kernelArguments.joined(separator: " ")))
        }
        return ingredients
    }
}
