// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Synchronization

/// The overlays of all layers, laid over each other in order.
struct OverlayMerge: Sendable {
    struct Claim: Sendable {
        var entry: OverlayEntry
        var layer: String
        /// The place of the layer; of a folder, of the first layer that brings it.
        fileprivate var rank: Int
    }

    /// Ordered by the bytes of the path, so that each folder stands before what it holds.
    private(set) var claims: [Claim] = []
    private(set) var overrides: [Override] = []

    private var merged: [Pathname: Claim] = [:]
    private var losers: [Pathname: [String]] = [:]

    init(_ layers: [Layer]) {
        for (rank, layer) in layers.enumerated() {
            for entry in layer.overlay { lay(Claim(entry: entry, layer: layer.name, rank: rank)) }
        }
        claims = merged.sorted { $0.key < $1.key }.map(\.value)
        linkAgain()
        overrides = losers.sorted { $0.key < $1.key }.compactMap { path, names in
            // What lost together with its folder is won by whatever took the folder's place.
            winner(of: path).map { winner in
                Override(path: path, winner: winner, losers: names.filter { $0 != winner })
            }
        }.filter { !$0.losers.isEmpty }
    }

    /// As they are laid down, layer by layer: two paths that lead to one file, since the guest has a link on the way, are
    /// one only there, and the later layer is to win there, too. Each folder still stands before what it holds.
    var layingOrder: [Claim] {
        claims.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }.map(\.element)
    }

    private mutating func lay(_ claim: Claim) {
        var claim = claim
        let path = claim.entry.path
        if let old = merged[path] {
            switch (old.entry.kind, claim.entry.kind) {
            case (.directory, .directory):
                claim.rank = old.rank
            case (.symlink, .directory):
                // As with a link of the guest: the link survives, and what is below the folder lands behind it.
                return
            case (.directory, _):
                dropAll(below: path)
                note(old, path)
            default:
                note(old, path)
            }
        }
        merged[path] = claim
    }

    /// The names of one file that are left are names of one file still; the first of them, in the order of the paths, is
    /// the one that the others are linked to.
    private mutating func linkAgain() {
        struct File: Hashable {
            let layer: String
            let first: Pathname
        }
        var leaders: [File: Pathname] = [:]
        for index in claims.indices {
            let entry = claims[index].entry
            guard case .file = entry.kind else { continue }
            let file = File(layer: claims[index].layer, first: entry.hardLink ?? entry.path)
            claims[index].entry.hardLink = leaders[file]
            if leaders[file] == nil { leaders[file] = entry.path }
        }
    }

    /// A file or link takes the place of a folder: nothing can stay below it.
    private mutating func dropAll(below folder: Pathname) {
        for (path, claim) in merged where path != folder && path.isWithin(folder) {
            merged[path] = nil
            if claim.entry.kind != .directory { note(claim, path) }
        }
    }

    private mutating func note(_ loser: Claim, _ path: Pathname) {
        if losers[path]?.last != loser.layer { losers[path, default: []].append(loser.layer) }
    }

    private func winner(of path: Pathname) -> String? {
        var path = path.bytes[...]
        while true {
            if let claim = merged[Pathname(path)] { return claim.layer }
            guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return nil }
            path = path[..<slash]
        }
    }
}

/// The merge of a plan's layers, made when it is first asked for: a plan of many files is asked many times.
final class MergeOnce: Sendable {
    private struct Made {
        let merge: OverlayMerge
        var early: [OverlayEntry]?
        var ingredients: [Ingredient]?
    }

    private let made = Mutex<Made?>(nil)

    func merge(_ layers: [Layer]) -> OverlayMerge {
        made.withLock { Self.make(&$0, layers).merge }
    }

    /// - Parameter choose: what of the merge is laid down early.
    func early(_ layers: [Layer], _ choose: (OverlayMerge) -> [OverlayEntry]) -> [OverlayEntry] {
        made.withLock { made in
            let now = Self.make(&made, layers)
            let early = now.early ?? choose(now.merge)
            made?.early = early
            return early
        }
    }

    func ingredients(_ layers: [Layer]) throws -> [Ingredient] {
        try made.withLock { made in
            let now = Self.make(&made, layers)
            let ingredients = try now.ingredients ?? now.merge.layingOrder.map { try $0.entry.ingredient }
            made?.ingredients = ingredients
            return ingredients
        }
    }

    private static func make(_ made: inout Made?, _ layers: [Layer]) -> Made {
        if let made { return made }
        let new = Made(merge: OverlayMerge(layers))
        made = new
        return new
    }
}

extension MergeOnce: Equatable, Codable {
    /// It follows from the layers, so that it neither tells two plans apart nor is written down.
    static func == (_: MergeOnce, _: MergeOnce) -> Bool { true }

    convenience init(from _: any Decoder) throws { self.init() }

    func encode(to encoder: any Encoder) throws {
        enum Nothing: CodingKey {}
        _ = encoder.container(keyedBy: Nothing.self)
    }
}
