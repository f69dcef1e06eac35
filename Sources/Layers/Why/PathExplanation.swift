// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

extension Plan {
    /// Who brings a path of the guest.
    ///
    /// - Parameters:
    ///   - asked: a path of the guest, or that of a file in a layer's `configs/` on this machine.
    ///   - recipe: nil when there is none.
    /// - Returns: nil when neither a layer nor the recipe nor flashlayer itself brings it.
    package func explain(path asked: String, recipe: RecipePlaces?) -> Explanation? {
        let overlay = PathClaims(self)
        let path = overlay.guestPath(asked)
        var sources = overlay.claims(of: path)
        let settings = SettingPlaces(plan: self, recipe: recipe).sources(of: path)
        // Settings are applied after the overlay.
        if settings.contains(where: \.replaces) { for index in sources.indices { sources[index].holds = false } }
        sources += settings.map(\.source)
        guard !sources.isEmpty else { return nil }
        return Explanation(kind: .path, name: "/\(path)", sources: sources, notes: overlay.notes(on: path))
    }

    /// Every file and link that is laid over the guest, with its layer and where that layer has it.
    package var fileOrigins: [(path: Pathname, layer: String, source: Pathname)] {
        merged.claims.filter { $0.entry.kind != .directory }.map { ($0.entry.path, $0.layer, $0.entry.source) }
    }

    /// The path of a layer that was probably meant.
    package func pathNear(_ asked: String) -> String? {
        let overlay = PathClaims(self)
        let path = overlay.guestPath(asked)
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let known = overlay.paths
        if let elsewhere = known.first(where: { $0.split(separator: "/").last.map(String.init) == name }) {
            return "/\(elsewhere)"
        }
        return NearMiss.of(path, among: known).map { "/\($0)" }
    }
}

/// The overlays of all layers, by the paths that the guest will see.
private struct PathClaims {
    private struct Claim {
        let layer: String
        let entry: OverlayEntry
        /// In the guest, through its links.
        let path: String
    }

    private let all: [Claim]
    /// What is laid down, in that order: of two paths that lead to one file, the later holds.
    private let merged: [Claim]
    private let guest: GuestPaths

    init(_ plan: Plan) {
        let guest = GuestPaths(plan.mergedOverlay)
        self.guest = guest
        all = plan.layers.flatMap { layer in
            layer.overlay.map { Claim(layer: layer.name, entry: $0, path: guest.resolve($0.path.text)) }
        }
        merged = plan.merged.layingOrder.map { claim in
            Claim(layer: claim.layer, entry: claim.entry, path: guest.resolve(claim.entry.path.text))
        }
    }

    var paths: [String] { merged.map(\.path) }

    /// A file of a layer on this machine is taken for where it goes.
    func guestPath(_ asked: String) -> String {
        let here = Path.absolute(asked)
        if let claim = all.first(where: { $0.entry.source == Pathname(here) }) { return claim.path }
        let path = guest.resolve(Pathname(asked).text)
        if all.contains(where: { $0.path == path }) { return path }
        // What cannot be typed is asked for as it is shown.
        if let here = Pathname(text: here), let claim = all.first(where: { $0.entry.source == here }) {
            return claim.path
        }
        return Pathname(text: asked).map { guest.resolve($0.text) } ?? path
    }

    func claims(of path: String) -> [Explanation.Source] {
        let holder = merged.last { $0.path == path }
        let claims = all.filter { $0.path == path }
        guard !claims.isEmpty else { return [] }
        var sources = claims.map { claim in
            let isHolder = claim.layer == holder?.layer && claim.entry.path == holder?.entry.path
            // A folder that several layers share is nobody's loss.
            let isShared = claim.entry.kind == .directory && holder?.entry.kind == .directory
            return source(claim, holds: isHolder || isShared)
        }
        if holder == nil, let taker = takerOfFolder(of: path) { sources.append(source(taker, holds: true)) }
        return sources
    }

    /// The file or link that stands where a folder above the path was.
    private func takerOfFolder(of path: String) -> Claim? {
        var names = path.split(separator: "/")
        while names.popLast() != nil, !names.isEmpty {
            let folder = names.joined(separator: "/")
            if let claim = merged.last(where: { $0.path == folder }) { return claim }
        }
        return nil
    }

    private func source(_ claim: Claim, holds: Bool) -> Explanation.Source {
        let entry = claim.entry
        let owner = "\(entry.user):\(entry.group) \(String(entry.mode, radix: 8))"
        let says =
            switch entry.kind {
            case .directory: "folder, \(owner)"
            case .file(let size, _): "file of \(size) bytes, \(owner)"
            case .symlink(let target): "link to \(target.text)"
            }
        return Explanation.Source(
            layer: claim.layer,
            phase: .configs,
            file: entry.source.text,
            says: entry.path.text == claim.path ? says : "\(says), as /\(entry.path.text)",
            holds: holds
        )
    }

    func notes(on path: String) -> [String] {
        var notes: [String] = []
        let isEarly = Plan.earlyFolders.contains { path == $0 || path.hasPrefix($0 + "/") }
        if isEarly, merged.contains(where: { $0.path == path && $0.entry.kind != .directory }) {
            notes.append("laid down early as well: before packages are installed")
        }
        let below = merged.filter { $0.entry.kind != .directory && $0.path.hasPrefix(path + "/") }
        if !below.isEmpty {
            var layers: [String] = []
            for claim in below where !layers.contains(claim.layer) { layers.append(claim.layer) }
            let files = below.count == 1 ? "1 file below it comes" : "\(below.count) files below it come"
            notes.append("\(files) from \(layers.joined(separator: ", "))")
        }
        return notes
    }
}
