// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Layers

/// What one image of a project was resolved to: a part of `flashlayer.lock`.
package struct BuildLock: Codable, Sendable, Equatable {
    /// A git layer, pinned to a commit.
    package struct GitLayer: Codable, Sendable, Equatable {
        package let url: String
        /// The branch, tag or commit that the recipe names; nil: the repository's own default branch.
        package let ref: String?
        package let commit: String
    }

    /// A base image, pinned to its content.
    package struct Image: Codable, Sendable, Equatable {
        /// As the recipe names it: another file or URL is not pinned by this.
        package let image: String
        /// Of the file as stored, 64 hexadecimal digits.
        package let sha256: String

        package init(image: String, sha256: String) {
            self.image = image
            self.sha256 = sha256
        }
    }

    /// What was asked for, and what it came to.
    package struct Selection: Codable, Sendable, Equatable {
        /// When any of these is another one, the packages are resolved again.
        package let request: [String: String]
        /// Ordered by name.
        package let packages: [LockedPackage]

        package init(request: [Ingredient], packages: [LockedPackage]) {
            self.request = Dictionary(request.map { ($0.name, $0.value) }, uniquingKeysWith: { $0 + "\n" + $1 })
            self.packages = packages.sorted { ($0.name, $0.architecture) < ($1.name, $1.architecture) }
        }

        /// Why the selection does not answer a request, for a person; nil when it does.
        package func drift(from request: [Ingredient]) -> String? {
            let other = Selection(request: request, packages: []).request
            func list(_ request: [String: String]) -> [Ingredient] {
                request.sorted { $0.key < $1.key }.map { Ingredient($0.key, $0.value) }
            }
            return list(other).difference(from: list(self.request))
        }
    }

    package var layers: [GitLayer] = []
    package var base: Image?
    package var bootstrap: Selection?
    /// Debian or Red Hat packages, as the guest has them.
    package var packages: Selection?
    /// Wheels.
    package var python: Selection?

    package init() {}
}
