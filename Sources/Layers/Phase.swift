// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The stages of a build, always in this order. A phase runs over all layers before the next starts.
package enum Phase: String, Codable, Sendable, CaseIterable {
    case base, packages, configs, scripts, finish

    /// Part of every key: raise it when the code that carries out the phase comes to do something else, so that no
    /// checkpoint of the old code is taken for one of the new.
    package var revision: Int {
        switch self {
        case .packages: 4
        case .base, .configs, .scripts: 5
        case .finish: 6
        }
    }
}
