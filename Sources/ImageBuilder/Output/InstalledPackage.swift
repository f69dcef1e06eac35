// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model

/// A package that is really in the image, as its own package manager says.
package struct InstalledPackage: Codable, Sendable, Equatable {
    package enum Format: String, Codable, Sendable {
        case deb, rpm, pypi
    }

    package var name: String
    package var version: String
    /// Empty for a Python package.
    package var architecture: String
    package var format: Format?
    /// What it was built from: a source package, or the file of one; nil: of its own name.
    package var source: String?
    package var sourceVersion: String?
    /// Whoever maintains, sells or wrote it: `NAME <ADDRESS>`.
    package var supplier: String?
    package var homepage: String?
    /// As the package says it, which need not be an SPDX expression.
    package var license: String?
}

/// All that `FinishSteps.packageList` says.
struct InstalledSoftware: Equatable {
    /// `debian`, `fedora`: ID of os-release(5).
    var distribution = ""
    /// `12`: VERSION_ID.
    var release = ""
    var packages: [InstalledPackage] = []

    init(file: String) throws {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw FlashlayerError(.fault, "the list of the image's packages did not arrive in \(file)")
        }
        self.init(String(decoding: data, as: UTF8.self))
    }

    /// What is no line of a list is left out.
    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            func field(_ index: Int) -> String? {
                let isSaid = fields.indices.contains(index) && !["", "(none)", "UNKNOWN"].contains(fields[index])
                return isSaid ? fields[index] : nil
            }
            if fields[0] == "os" { (distribution, release) = (field(1) ?? "", field(2) ?? "") }
            guard
                let format = InstalledPackage.Format(rawValue: fields[0]), let name = field(1), let version = field(2)
            else { continue }
            packages.append(
                InstalledPackage(
                    name: name,
                    version: version,
                    architecture: field(3) ?? "",
                    format: format,
                    source: field(4) == name ? nil : field(4),
                    sourceVersion: field(5) == version ? nil : field(5),
                    supplier: field(6),
                    homepage: field(7),
                    license: field(8)
                )
            )
        }
    }
}
