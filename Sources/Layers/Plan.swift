// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
package import Model

/// What a build will do: recipe and layers, resolved and ordered, as pure data. It is read from disk once; everything
/// after works on it.
package struct Plan: Codable, Sendable, Equatable {
    package var name: String
    package var version: String
    /// The variant of the recipe that this is; nil: none.
    package var variant: String?
    package var base: Base
    package var image: ImageSettings
    /// nil: what the guest's own package manager does.
    package var recommends: Bool?
    /// In the order in which they are applied.
    package var layers: [Layer] {
        didSet { merge = MergeOnce() }
    }
    /// In the order of the recipe.
    package var users: [User]
    /// What the command line sets for scripts, by name.
    package var arguments: [Layer.Variable]
    package var bootTest: BootTestSettings
    /// What a build of everything leaves beside the image.
    package var exports: [ExportForm]
    package var layerExports: [LayerExport]
    package var hardware: VirtualHardware

    private var merge = MergeOnce()

    package init(
        name: String,
        version: String,
        variant: String? = nil,
        base: Base,
        image: ImageSettings,
        recommends: Bool?,
        layers: [Layer],
        users: [User] = [],
        arguments: [Layer.Variable] = [],
        bootTest: BootTestSettings = BootTestSettings(),
        exports: [ExportForm] = [],
        layerExports: [LayerExport] = [],
        hardware: VirtualHardware = VirtualHardware()
    ) {
        self.exports = exports
        self.layerExports = layerExports
        self.hardware = hardware
        self.bootTest = bootTest
        self.name = name
        self.version = version
        self.variant = variant
        self.users = users
        self.arguments = arguments
        self.base = base
        self.image = image
        self.recommends = recommends
        self.layers = layers
    }

    /// The overlays of all layers, laid over each other.
    var merged: OverlayMerge { merge.merge(layers) }
    var overlayIngredients: [Ingredient] { get throws { try merge.ingredients(layers) } }

    /// The part of the overlay that a layer's own package repositories need. A file that has other names has here only
    /// this one.
    package var earlyFiles: [OverlayEntry] {
        merge.early(layers) { merge in
            let folders = Self.earlyFolders.map { Pathname($0) }
            return merge.claims.map(\.entry).filter { entry in
                entry.kind != .directory && folders.contains { entry.path.isWithin($0) }
            }.map { entry in
                var entry = entry
                entry.hardLink = nil
                return entry
            }
        }
    }
}

/// Where the guest's operating system comes from.
package enum Base: Codable, Sendable, Equatable {
    /// A fresh installation by mmdebstrap; `mirror` nil means the distribution's own.
    case bootstrap(distribution: String, suite: String, mirror: String?)
    /// A disk image file; `sha256` is the digest of the file as stored.
    case image(path: String, sha256: String?)

    package static let standard = Base.bootstrap(distribution: "debian", suite: "bookworm", mirror: nil)
}

/// The `[image]` table.
package struct ImageSettings: Codable, Sendable, Equatable {
    package enum Firmware: String, Codable, Sendable, CaseIterable {
        case bios, uefi
    }

    package enum Python: String, Codable, Sendable {
        case venv, system
    }

    /// Bytes; nil keeps the size of the base, or 2 GiB for a bootstrap.
    package var size: UInt64?
    package var firmware: [Firmware] = [.bios, .uefi]
    package var hostname: String?
    package var timezone: String?
    package var locale: String?
    package var kernelArguments: [String] = []
    package var python = Python.venv
    /// The root file system grows to the disk at first boot.
    package var grow = true
    /// Scripts may use the network.
    package var network = true

    package init() {}
}

/// A layer folder, read.
package struct Layer: Codable, Sendable, Equatable {
    package struct Script: Codable, Sendable, Equatable {
        /// The file's name in `scripts/`.
        package var name: String
        /// On this machine.
        package var path: String
        package var digest: Digest

        package init(name: String, path: String, digest: Digest) {
            self.name = name
            self.path = path
            self.digest = digest
        }
    }

    package struct Variable: Codable, Sendable, Equatable {
        package var key: String
        package var value: String

        package init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    /// Where one of the layer's lists names something.
    package struct Mention: Codable, Sendable, Equatable {
        package enum Part: String, Codable, Sendable {
            case debianPackage, redHatPackage, pythonPackage, variable
        }

        package var part: Part
        /// A package as it is written, or the key of a variable.
        package var text: String
        /// On this machine, absolute.
        package var file: String
        package var line: Int

        package init(part: Part, text: String, file: String, line: Int) {
            self.part = part
            self.text = text
            self.file = file
            self.line = line
        }
    }

    package var name: String
    /// The folder on this machine, absolute.
    package var path: String
    /// Where the recipe says that it comes from: "local", or a git URL with its commit.
    package var source: String
    /// Over all files of the folder that count, with their names, modes and links.
    package var digest: Digest
    package var dependencies: [String]
    /// As written in the lists, comments removed: `curl`, `curl=7.88*`, `-nano`.
    package var debianPackages: [String]
    package var redHatPackages: [String]
    package var pythonPackages: [String]
    package var environment: [Variable]
    package var overlay: [OverlayEntry]
    package var scripts: [Script]
    /// Of packages and variables, in the order of the lists above. Explains; no key and no digest knows of it.
    package var mentions: [Mention]

    package init(
        name: String,
        path: String,
        source: String,
        digest: Digest,
        dependencies: [String],
        debianPackages: [String],
        redHatPackages: [String],
        pythonPackages: [String],
        environment: [Variable],
        overlay: [OverlayEntry],
        scripts: [Script],
        mentions: [Mention] = []
    ) {
        self.name = name
        self.path = path
        self.source = source
        self.digest = digest
        self.dependencies = dependencies
        self.debianPackages = debianPackages
        self.redHatPackages = redHatPackages
        self.pythonPackages = pythonPackages
        self.environment = environment
        self.overlay = overlay
        self.scripts = scripts
        self.mentions = mentions
    }
}
