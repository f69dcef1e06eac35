// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// A `flashlayer.toml`, read and checked. Its layers are not resolved yet.
package struct Recipe: Sendable, Equatable {
    /// A `[[layer]]` of the recipe.
    package struct LayerEntry: Sendable, Equatable {
        package enum Origin: Sendable, Equatable {
            /// A folder; relative paths start at the recipe's folder. nil: looked up by name.
            case local(path: String?)
            case git(url: String, branchOrTag: String?)
        }

        /// nil: the name of the folder or repository.
        package var name: String?
        package var origin: Origin
        /// Where it stands in the recipe, counted from 1.
        package var line: Int
    }

    package static let fileName = "flashlayer.toml"

    /// The file, as the user named it.
    package var file: String
    package var name: String
    package var version: String
    /// The path of an image is as written: relative paths start at the recipe's folder.
    package var base: Base
    /// Where the base stands in the recipe, counted from 1.
    package var baseLine: Int
    package var image: ImageSettings
    package var recommends: Bool?
    package var layers: [LayerEntry]
    package var users: [User]
    package var bootTest: BootTestSettings
    /// What a build of everything leaves beside the image, of the image and of the layers.
    package struct Outputs: Sendable, Equatable {
        package var images: [ExportForm] = []
        package var layers: [LayerExport] = []
    }

    package var outputs: Outputs
    package var hardware: VirtualHardware
    /// By name.
    package var variants: [String: Variant]
    /// The one that was selected.
    package var variant: String?

    /// What the files of the image are called, less their endings: `kiosk`, or `kiosk-lab` for the variant `lab`.
    package var outputName: String { variant.map { "\(name)-\($0)" } ?? name }
}
