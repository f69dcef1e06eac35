// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// A path that more than one layer brings, and who wins.
package struct Override: Codable, Sendable, Equatable {
    package let path: Pathname
    package let winner: String
    /// In layer order.
    package let losers: [String]

    package init(path: Pathname, winner: String, losers: [String]) {
        self.path = path
        self.winner = winner
        self.losers = losers
    }
}

extension Plan {
    /// The overlay of all layers as one, later layers winning, each folder before what it holds.
    package var mergedOverlay: [OverlayEntry] {
        merged.claims.map(\.entry)
    }

    /// The same in the order in which it is laid down, layer by layer.
    package var layingOrder: [OverlayEntry] { merged.layingOrder.map(\.entry) }

    /// What `mergedOverlay` decided. Directories that several layers share are no conflict.
    package var overrides: [Override] {
        merged.overrides
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
        "etc/apt", "usr/share/keyrings", "etc/yum.repos.d", "etc/pki/rpm-gpg", "etc/dnf", "etc/yum.conf", "etc/yum",
        "etc/zypp", "etc/pip.conf",
    ]

    /// Every Debian package that some layer asks for or asks to be absent, each once, in layer order. Of two entries that
    /// contradict each other the later holds.
    package var debianPackages: [String] {
        unique(Contradictions.settled(layers.flatMap(\.debianPackages), .debianPackage))
    }
    package var redHatPackages: [String] {
        unique(Contradictions.settled(layers.flatMap(\.redHatPackages), .redHatPackage))
    }
    /// Those that a Debian guest gets: what the layers ask for, and what pip and the settings cannot do without.
    package var debianPackagesOfGuest: [String] {
        let pip = pythonPackages.isEmpty ? [] : PipSteps.debianPackages(for: image.python)
        return unique(debianPackages + pip + SettingsSteps.debianPackages(for: image))
    }

    /// What a Red Hat guest is asked for, in layer order.
    package var redHatRequests: [RpmSteps.Request] {
        layers.flatMap { layer in
            layer.redHatPackages.map { RpmSteps.Request($0, origin: "asked for by \(layer.name)") }
        }
    }
    /// What pip needs in such a guest.
    package var redHatPackagesOfPip: [String] { pythonPackages.isEmpty ? [] : RpmSteps.packages(for: image.python) }

    package var pythonPackages: [String] { unique(layers.flatMap(\.pythonPackages)) }

    /// Which lists of packages count is known of a bootstrap; of an image only once it has been looked into.
    var mayBeRedHat: Bool {
        if case .bootstrap = base { false } else { true }
    }

    /// What a build leaves beside each other, as file names; what only a build of everything leaves comes last.
    package var outputs: [String] {
        let always = ["qcow2", "bmap", "json", "spdx.json", "log"].map { "\(outputName).\($0)" }
        return always
            + exports.compactMap(\.format.endings.first).map { outputName + $0 }.filter { !always.contains($0) }
            + layerExports.map { outputName + $0.ending }
    }

    /// What the files of the image are called, less their endings: `kiosk`, or `kiosk-lab` for the variant `lab`.
    package var outputName: String { variant.map { "\(name)-\($0)" } ?? name }

    private func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }
}
