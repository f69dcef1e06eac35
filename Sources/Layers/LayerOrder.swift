// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The order in which layers are applied: depth first, each layer after all that it depends on, each once.
package enum LayerOrder {
    /// - Parameters:
    ///   - roots: the layers of the recipe, in its order.
    ///   - dependencies: of each layer that can be reached, in the order of its file.
    ///   - place: where a layer names another: `FILE:LINE`.
    /// - Returns: all layers. Where dependencies leave a choice, the recipe's order decides, else the order of the file.
    /// - Throws: `layer-cycle`.
    package static func order(
        roots: [String],
        dependencies: [String: [String]],
        place: (_ layer: String, _ dependency: String) -> String? = { _, _ in nil }
    ) throws -> [String] {
        let ranks = Dictionary(roots.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        var walk = Walk(dependencies: dependencies.mapValues { sorted($0, by: ranks) })
        for root in roots { try walk.visit(root, place) }
        return walk.order
    }

    /// Those that the recipe names change places among themselves; the others stay where their file has them.
    private static func sorted(_ names: [String], by ranks: [String: Int]) -> [String] {
        let ranked = names.filter { ranks[$0] != nil }.sorted { ranks[$0, default: 0] < ranks[$1, default: 0] }
        var next = ranked.makeIterator()
        return names.map { ranks[$0] == nil ? $0 : next.next() ?? $0 }
    }

    private struct Walk {
        let dependencies: [String: [String]]
        var order: [String] = []
        private var done: Set<String> = []
        private var way: [String] = []

        init(dependencies: [String: [String]]) {
            self.dependencies = dependencies
        }

        mutating func visit(_ name: String, _ place: (String, String) -> String?) throws {
            guard !done.contains(name) else { return }
            if let start = way.firstIndex(of: name) {
                let cycle = (way[start...] + [name]).map(\.printable).joined(separator: " -> ")
                let closing = way.last.flatMap { place($0, name) }.map { "\($0): " } ?? ""
                throw FlashlayerError(
                    .layerCycle,
                    "\(closing)layers depend on each other in a circle: \(cycle)",
                    advice: "take one of these names out of its layer-dependencies"
                )
            }
            way.append(name)
            for dependency in dependencies[name, default: []] { try visit(dependency, place) }
            way.removeLast()
            done.insert(name)
            order.append(name)
        }
    }
}
