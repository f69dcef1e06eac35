// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import TOMLKit

extension Recipe {
    /// A `[variant.NAME]`: another image of the same project.
    package struct Variant: Sendable, Equatable {
        /// nil: that of the recipe.
        package var base: Base?
        package var baseLine: Int
        /// Those of the recipe, with what the variant says over them.
        package var image: ImageSettings
        package var recommends: Bool?
        /// Added behind those of the recipe.
        package var layers: [LayerEntry]
        /// Added to those of the recipe; one of the same name takes its place.
        package var users: [User]
        /// Added to that of the recipe.
        package var bootTest: BootTestSettings
        /// nil: those of the recipe.
        package var outputs: Outputs?
        /// What it says holds above the recipe.
        package var hardware: VirtualHardware
    }

    /// The recipe as one of its variants has it.
    ///
    /// - Parameter name: nil: the recipe as it stands.
    /// - Throws: `usage` when it has no variant of that name.
    package func selecting(variant name: String?) throws -> Recipe {
        guard let name else { return self }
        guard let variant = variants[name] else {
            let known = variants.keys.sorted()
            let near = NearMiss.of(name, among: known).map { ": did you mean '\($0)'?" } ?? ""
            throw FlashlayerError(
                .usage,
                "\(file.printable) has no variant '\(name.printable)'\(near)",
                advice: known.isEmpty
                    ? "a variant is a table in the recipe: [variant.\(name.printable)]"
                    : "it has \(known.joined(separator: ", "))"
            )
        }
        var recipe = self
        if let base = variant.base { (recipe.base, recipe.baseLine) = (base, variant.baseLine) }
        recipe.image = variant.image
        recipe.recommends = variant.recommends ?? recommends
        recipe.layers += variant.layers
        recipe.users.removeAll { user in variant.users.contains { $0.name == user.name } }
        recipe.users += variant.users
        recipe.bootTest = bootTest.adding(variant.bootTest)
        recipe.outputs = variant.outputs ?? outputs
        recipe.hardware = hardware.adding(variant.hardware)
        recipe.variant = name
        return recipe
    }
}

extension RecipeReader {
    private static let variantKeys = RecipeSchema.variant.names

    func variants(of image: ImageSettings, _ hardware: VirtualHardware) -> [String: Recipe.Variant] {
        guard let tables = root.table("variant") else { return [:] }
        var variants: [String: Recipe.Variant] = [:]
        for name in tables.table.keys {
            guard let table = tables.table(name) else { continue }
            // It becomes part of the name of a file.
            guard !name.isEmpty, name.isASCIIAlphanumeric(or: "_.-"), Self.isFileName(name) else {
                tables.fault(name, "'\(name.printable)' cannot name a variant: use letters, digits, '_', '.' and '-'")
                continue
            }
            table.allow(Self.variantKeys, elsewhere: Self.homes)
            variants[name] = Recipe.Variant(
                base: table.table("base").map { base($0) },
                baseLine: table.line(of: "base"),
                image: table.table("image").map { self.image($0, over: image) } ?? image,
                recommends: table.table("packages").flatMap { recommends($0) },
                layers: layers(table),
                users: users(table),
                bootTest: table.table("boot-test").map { bootTest($0) } ?? BootTestSettings(),
                outputs: outputs(table),
                hardware: table.table("vm").map { self.hardware($0, over: hardware) } ?? VirtualHardware()
            )
        }
        return variants
    }
}
