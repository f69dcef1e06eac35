// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model

/// What the description of an image, `NAME.json`, says about it.
package struct DescribedImage: Sendable {
    private struct Description: Decodable {
        let packages: [InstalledPackage]
    }

    /// The description's file.
    package let file: String
    package let packages: [InstalledPackage]

    /// - Parameter path: of the description, or of the image that it lies beside.
    /// - Throws: `not-found`; `bad-image` for a file that is no description.
    package init(of path: String) throws {
        file = path.hasSuffix(".json") ? path : ImageOutput(path: path, format: .qcow2).description
        guard let data = FileManager.default.contents(atPath: file) else {
            throw FlashlayerError(
                .notFound,
                "there is no description \(file)",
                advice: "a build leaves it beside the image"
            )
        }
        do {
            packages = try JSONDecoder().decode(Description.self, from: data).packages
        } catch {
            throw FlashlayerError(.badImage, "\(file) is not the description of an image of ours")
        }
    }

    /// What is known of a package, for a person; nil when it is not in the image.
    package func note(on name: String) -> String? {
        let versions = packages.filter { $0.name == name }.map { "\($0.version) (\($0.architecture))" }
        return versions.isEmpty ? nil : "\(file) has it as \(versions.joined(separator: ", "))"
    }

    package func packageNear(_ name: String) -> String? {
        NearMiss.of(name, among: packages.map(\.name))
    }
}
