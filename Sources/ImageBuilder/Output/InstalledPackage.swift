// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model

/// A package that is really in the image, as its own package manager says.
package struct InstalledPackage: Codable, Sendable, Equatable {
    package let name: String
    package let version: String
    package let architecture: String

    /// Reads what `FinishSteps.packageList` holds.
    static func read(_ path: String) throws -> [InstalledPackage] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw FlashlayerError(.fault, "the list of the image's packages did not arrive in \(path)")
        }
        return parse(String(decoding: data, as: UTF8.self))
    }

    static func parse(_ text: String) -> [InstalledPackage] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: "\t").map(String.init)
            guard fields.count == 3 else { return nil }
            return InstalledPackage(name: fields[0], version: fields[1], architecture: fields[2])
        }
    }
}
