// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A path that more than one layer brings, and who wins.
package struct Override: Codable, Sendable, Equatable {
    package let path: String
    package let winner: String
    /// In layer order.
    package let losers: [String]
}

extension Plan {
    /// The overlay of all layers as one, later layers winning, ordered by path.
    package var mergedOverlay: [OverlayEntry] {
        var merged: [String: OverlayEntry] = [:]
        for layer in layers {
            for entry in layer.overlay { merged[entry.path] = entry }
        }
        return merged.values.sorted { $0.path < $1.path }
    }

    /// What `mergedOverlay` decided. Directories that several layers share are no conflict.
    package var overrides: [Override] {
        var claims: [String: [String]] = [:]
        for layer in layers {
            for entry in layer.overlay where entry.kind != .directory {
                claims[entry.path, default: []].append(layer.name)
            }
        }
        return claims.sorted { $0.key < $1.key }.compactMap { path, names in
            guard names.count > 1, let winner = names.last else { return nil }
            return Override(path: path, winner: winner, losers: names.dropLast())
        }
    }

    /// The merged environment: a later layer's value wins, a key keeps the place where it first appeared.
    package var environment: [Layer.Variable] {
        var merged: [Layer.Variable] = []
        for variable in layers.flatMap(\.environment) {
            if let index = merged.firstIndex(where: { $0.key == variable.key }) {
                merged[index] = variable
            } else {
                merged.append(variable)
            }
        }
        return merged
    }

    /// Folders of the package manager's own files: laid down before packages are fetched, and again with configs.
    package static let earlyFolders = [
        "etc/apt", "usr/share/keyrings", "etc/yum.repos.d", "etc/pki/rpm-gpg", "etc/dnf", "etc/pip.conf",
    ]

    /// The part of the overlay that a layer's own package repositories need.
    package var earlyFiles: [OverlayEntry] {
        mergedOverlay.filter { entry in
            entry.kind != .directory
                && Self.earlyFolders.contains { entry.path == $0 || entry.path.hasPrefix($0 + "/") }
        }
    }

    /// Every Debian package that some layer asks for, each once, in layer order.
    package var debianPackages: [String] { unique(layers.flatMap(\.debianPackages)) }
    package var redHatPackages: [String] { unique(layers.flatMap(\.redHatPackages)) }
    package var pythonPackages: [String] { unique(layers.flatMap(\.pythonPackages)) }

    private func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}
