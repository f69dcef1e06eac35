// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// One thing that goes into a checkpoint. Keys are made of nothing else, so that whatever makes a key another one can be
/// told to a person by its name.
package struct Ingredient: Codable, Sendable, Equatable {
    /// `package jq`, `/etc/motd`, `script 10-enable.sh of layer kiosk`.
    package let name: String
    /// Changes exactly if the thing does; not for people.
    package let value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    /// nil: there is no such thing, and so no ingredient.
    init?(_ name: String, _ value: String?) {
        guard let value else { return nil }
        self.init(name, value)
    }
}

extension [Ingredient] {
    /// Why what was made of `earlier` is not what would be made of these, for a person: "/etc/motd changed".
    ///
    /// - Returns: nil when both are the same.
    package func difference(from earlier: [Ingredient]) -> String? {
        guard self != earlier else { return nil }
        let old = Dictionary(earlier.map { ($0.name, $0.value) }, uniquingKeysWith: { $0 + "\n" + $1 })
        let new = Dictionary(map { ($0.name, $0.value) }, uniquingKeysWith: { $0 + "\n" + $1 })
        var seen: Set<String> = []
        let names = (self + earlier).map(\.name).filter { seen.insert($0).inserted }
        let changes = names.compactMap { name -> String? in
            switch (old[name], new[name]) {
            case (nil, _?): "\(name) is new"
            case (_?, nil): "\(name) is gone"
            case (let before?, let now?) where before != now: "\(name) changed"
            default: nil
            }
        }
        guard !changes.isEmpty else { return "the order of its parts changed" }
        let shown = changes.prefix(3).joined(separator: ", ")
        return changes.count > 3 ? "\(shown), and \(changes.count - 3) more" : shown
    }
}
