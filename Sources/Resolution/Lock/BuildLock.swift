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
    /// The base image: its digest as stored. Of a bootstrap: the packages that it is made of.
    package var baseSha256: String?
    package var bootstrap: Selection?
    /// Debian or Red Hat packages, as the guest has them.
    package var packages: Selection?
    /// Wheels.
    package var python: Selection?

    package init() {}
}
