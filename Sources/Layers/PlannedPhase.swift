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
    /// The phases of the build, with the keys of their checkpoints: the first is the SHA-256 of the phase's material, the
    /// next that of the key before it and its own material, and so on. A key therefore changes exactly if something
    /// does that could change the disk at that point, and not with the place where the project lies.
    ///
    /// - Parameter resolved: what goes into a phase and only the builder can know, such as the versions that the package
    ///   names stand for.
    package func phases(resolved: [Phase: Digest] = [:]) throws -> [PlannedPhase] {
        var previous: Digest?
        return try Phase.allCases.map { phase in
            var checkpoints: [PlannedPhase.Checkpoint] = []
            for material in materials(of: phase) {
                let digest = try CanonicalDigest.of(
                    PhaseMaterial.Sealed(
                        phase: phase,
                        revision: phase.revision,
                        material: material,
                        resolved: resolved[phase]
                    )
                )
                let key = try SHA256.digest(of: (previous?.bytes ?? []) + digest.bytes)
                checkpoints.append(.init(layer: material.layer, key: key))
                previous = key
            }
            // `materials` never gives none.
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

/// All that goes into a checkpoint. Fields that do not concern a phase are nil there.
private struct PhaseMaterial: Encodable {
    struct Sealed: Encodable {
        let phase: Phase
        let revision: Int
        let material: PhaseMaterial
        let resolved: Digest?
    }

    struct Script: Encodable {
        let name: String
        let digest: Digest
    }

    var layer: String?
    var base: Base?
    var size: UInt64?
    var firmware: [ImageSettings.Firmware]?
    var recommends: Bool?
    var python: ImageSettings.Python?
    var debianPackages: [String]?
    var redHatPackages: [String]?
    var pythonPackages: [String]?
    var overlay: [OverlayEntry]?
    var environment: [Layer.Variable]?
    var hostname: String?
    var timezone: String?
    var locale: String?
    var network: Bool?
    var scripts: [Script]?
    var kernelArguments: [String]?
    var grow: Bool?
    /// Names the folder of a virtual environment.
    var name: String?
}

extension Plan {
    /// One for each checkpoint of the phase.
    private func materials(of phase: Phase) -> [PhaseMaterial] {
        var material = PhaseMaterial()
        switch phase {
        case .base:
            material.base = base.withoutPath
            material.size = image.size
            material.firmware = image.firmware
            if isBootstrap { material.kernelArguments = image.kernelArguments }
        case .packages:
            material.recommends = recommends
            material.debianPackages = debianPackages
            material.redHatPackages = mayBeRedHat ? redHatPackages : nil
            material.pythonPackages = pythonPackages
            if !pythonPackages.isEmpty {
                material.python = image.python
                material.name = name
            }
            material.overlay = earlyFiles.map(\.withoutSource)
        case .configs:
            material.hostname = image.hostname
            material.timezone = image.timezone
            material.locale = image.locale
            material.overlay = mergedOverlay.map(\.withoutSource)
            material.environment = environment
        case .scripts:
            let scripted = layers.filter { !$0.scripts.isEmpty }
            guard !scripted.isEmpty else { break }
            return scripted.map { layer in
                var material = PhaseMaterial()
                material.layer = layer.name
                material.network = image.network
                material.scripts = layer.scripts.map { .init(name: $0.name, digest: $0.digest) }
                return material
            }
        case .finish:
            material.kernelArguments = isBootstrap ? nil : image.kernelArguments
            material.grow = image.grow
        }
        return [material]
    }
}

extension Base {
    /// What the base is made of, wherever its file lies.
    fileprivate var withoutPath: Base {
        guard case .image(let path, let sha256) = self else { return self }
        return .image(path: sha256 == nil ? path : "", sha256: sha256)
    }
}
