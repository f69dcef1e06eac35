// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests

/// A phase of a plan: what it will do, and the names of the checkpoints that it leaves.
package struct PlannedPhase: Codable, Sendable, Equatable {
    /// A state of the disk that is worth keeping.
    package struct Checkpoint: Codable, Sendable, Equatable {
        /// The layer whose scripts lead to it; nil for the phase as a whole.
        package let layer: String?
        /// The digest of all that leads to this state, everything before it included.
        package let key: Digest
        /// What the key is made of, less what the one before it is made of.
        package let ingredients: [Ingredient]
    }

    package let phase: Phase
    /// For a person, in the order in which they happen.
    package let steps: [String]
    /// In order, at least one: scripts leave one for each layer that has some.
    package let checkpoints: [Checkpoint]

    /// That of the last checkpoint.
    package let key: Digest
}

extension Plan {
    /// The phases of the build, with the keys of their checkpoints: the first is the SHA-256 of the phase's ingredients,
    /// the next that of the key before it and its own ingredients, and so on. A key therefore changes exactly if something
    /// does that could change the disk at that point, and not with the place where the project lies.
    ///
    /// - Parameter resolved: what goes into a phase and only the builder can know, such as the versions that the package
    ///   names stand for.
    package func phases(resolved: [Phase: [Ingredient]] = [:]) throws -> [PlannedPhase] {
        var previous: Digest?
        return try Phase.allCases.map { phase in
            var checkpoints: [PlannedPhase.Checkpoint] = []
            for var portion in try portions(of: phase) {
                portion.ingredients += resolved[phase] ?? []
                portion.ingredients.append(Ingredient("flashlayer's own steps", "\(phase.revision)"))
                let digest = try CanonicalDigest.of(portion.ingredients)
                let key = try SHA256.digest(of: (previous?.bytes ?? []) + Array(phase.rawValue.utf8) + digest.bytes)
                checkpoints.append(.init(layer: portion.layer, key: key, ingredients: portion.ingredients))
                previous = key
            }
            // `portions` never gives none.
            let key = try previous ?? SHA256.digest(of: phase.rawValue)
            return PlannedPhase(phase: phase, steps: steps(of: phase), checkpoints: checkpoints, key: key)
        }
    }

    /// Of all that the plan says about the image, not of where anything lies on this machine.
    package func digest() throws -> Digest {
        struct Identity: Encodable {
            let name: String
            let version: String
            let layers: [String: Digest]
            let phases: [Digest]
        }
        return try CanonicalDigest.of(
            Identity(
                name: name,
                version: version,
                layers: Dictionary(layers.map { ($0.name, $0.digest) }, uniquingKeysWith: { _, last in last }),
                phases: phases().map(\.key)
            )
        )
    }
}
