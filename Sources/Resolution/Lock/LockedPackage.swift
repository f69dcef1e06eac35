// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
package import Layers
import Model

/// A package as it is installed, down to its bytes: a line of the lock.
package struct LockedPackage: Sendable, Equatable {
    /// `libc6`, `kernel-core`, `six`
    package let name: String
    /// As the package manager writes it, with the epoch: `1:4.13+dfsg1-1`.
    package let version: String
    /// `amd64`, `all`, `x86_64`, `noarch`
    package let architecture: String
    /// Of the file, 64 hexadecimal digits.
    package let sha256: String
    /// The file's name, as its package manager stores it.
    package let file: String

    package init(name: String, version: String, architecture: String, sha256: String, file: String) {
        self.name = name
        self.version = version
        self.architecture = architecture
        self.sha256 = sha256
        self.file = file
    }

    /// What a change of the version is told by.
    package var ingredient: Ingredient { Ingredient("version of \(name)", "\(version) \(architecture) \(sha256)") }
}

/// One line, so that a renewed lock reads well in version control.
extension LockedPackage: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let package = LockedPackage(line: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "a package is 'NAME VERSION ARCHITECTURE SHA256 FILE'"
            )
        }
        self = package
    }

    package init?(line: String) {
        let fields = line.split(separator: " ").map(String.init)
        guard fields.count == 5, Digest(hex: fields[3]) != nil, !fields[4].contains("/") else { return nil }
        self.init(name: fields[0], version: fields[1], architecture: fields[2], sha256: fields[3], file: fields[4])
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode("\(name) \(version) \(architecture) \(sha256) \(file)")
    }
}
