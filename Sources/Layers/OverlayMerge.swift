// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// The overlays of all layers, laid over each other in order.
struct OverlayMerge {
    struct Claim {
        var entry: OverlayEntry
        var layer: String
    }

    /// Ordered by the bytes of the path, so that each folder stands before what it holds.
    private(set) var claims: [Claim] = []
    private(set) var overrides: [Override] = []

    // Keyed by bytes: two names that look the same but are composed differently are two files to Linux, one to String.
    private typealias Key = [UInt8]
    private var merged: [Key: Claim] = [:]
    private var losers: [Key: [String]] = [:]

    init(_ layers: [Layer]) {
        for layer in layers {
            for entry in layer.overlay { lay(Claim(entry: entry, layer: layer.name)) }
        }
        claims = merged.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
        overrides = losers.sorted { $0.key.lexicographicallyPrecedes($1.key) }.compactMap { key, names in
            // What lost together with its folder is won by whatever took the folder's place.
            winner(of: key).map { winner in
                let others = names.filter { $0 != winner }
                return Override(path: String(decoding: key, as: UTF8.self), winner: winner, losers: others)
            }
        }.filter { !$0.losers.isEmpty }
    }

    private mutating func lay(_ claim: Claim) {
        let key = Array(claim.entry.path.utf8)
        if let old = merged[key] {
            switch (old.entry.kind, claim.entry.kind) {
            case (.directory, .directory):
                break
            case (.symlink, .directory):
                // As with a link of the guest: the link survives, and what is below the folder lands behind it.
                return
            case (.directory, _):
                dropAll(below: key)
                note(old, key)
            default:
                note(old, key)
            }
        }
        merged[key] = claim
    }

    /// A file or link takes the place of a folder: nothing can stay below it.
    private mutating func dropAll(below folder: Key) {
        let prefix = folder + [UInt8(ascii: "/")]
        for (key, claim) in merged where key.starts(with: prefix) {
            merged[key] = nil
            if claim.entry.kind != .directory { note(claim, key) }
        }
    }

    private mutating func note(_ loser: Claim, _ key: Key) {
        if losers[key]?.last != loser.layer { losers[key, default: []].append(loser.layer) }
    }

    private func winner(of key: Key) -> String? {
        var key = key[...]
        while true {
            if let claim = merged[Array(key)] { return claim.layer }
            guard let slash = key.lastIndex(of: UInt8(ascii: "/")) else { return nil }
            key = key[..<slash]
        }
    }
}
