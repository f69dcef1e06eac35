// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import TestSupport
import Testing

@Suite("The order of layers")
struct LayerOrderTests {
    /// The definition, as a fold: what is not applied yet is applied after what it needs.
    private func oracle(_ names: [String], _ graph: [String: [String]], after applied: [String]) -> [String] {
        names.reduce(applied) { applied, name in
            applied.contains(name) ? applied : oracle(graph[name] ?? [], graph, after: applied) + [name]
        }
    }

    @Test("dependencies come first, each layer once, in random graphs without cycles", arguments: 0..<200)
    func random(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        let count = Int.random(in: 1...14, using: &generator)
        let names = (0..<count).map { "l\($0)" }.shuffled(using: &generator)
        // Only towards the front: so there is no cycle.
        var graph: [String: [String]] = [:]
        for (index, name) in names.enumerated() {
            let dependencies = names[..<index].filter { _ in Int.random(in: 0..<3, using: &generator) == 0 }
            graph[name] = dependencies.shuffled(using: &generator)
        }
        let roots = names.shuffled(using: &generator).prefix(Int.random(in: 1...count, using: &generator))

        let order = try LayerOrder.order(roots: Array(roots), dependencies: graph)

        // Ties by the recipe: where a file names layers of the recipe, their order is the recipe's.
        let byRecipe = graph.mapValues { dependencies in
            var ranked = roots.filter(dependencies.contains)[...]
            return dependencies.map { roots.contains($0) ? ranked.removeFirst() : $0 }
        }
        #expect(order == oracle(Array(roots), byRecipe, after: []))
        #expect(Set(order).count == order.count)
        for (index, name) in order.enumerated() {
            #expect((graph[name] ?? []).allSatisfy { order[..<index].contains($0) })
        }
    }

    @Test("a cycle in a random graph is printed, and is one", arguments: 0..<100)
    func cycle(seed: UInt64) throws {
        var generator = SplitMix(seed: seed)
        let names = (0..<Int.random(in: 1...8, using: &generator)).map { "l\($0)" }
        // Every layer needs at least one: somewhere that must close.
        var graph: [String: [String]] = [:]
        for name in names {
            let wanted = Int.random(in: 1...2, using: &generator)
            graph[name] = Array(names.shuffled(using: &generator).prefix(wanted))
        }
        let message = failure(.layerCycle) { _ = try LayerOrder.order(roots: names, dependencies: graph) }
        let line = message.split(separator: "\n").first ?? ""
        let way = (line.split(separator: ":").last ?? "").split(separator: " -> ").map {
            String($0.filter { $0 != " " })
        }
        #expect(way.count >= 2)
        #expect(way.first == way.last)
        #expect(Set(way).count == way.count - 1)
        for (name, next) in zip(way, way.dropFirst()) { #expect(graph[name]?.contains(next) == true) }
    }

    @Test("a cycle reads a -> b -> a")
    func words() {
        let message = failure(.layerCycle) {
            _ = try LayerOrder.order(roots: ["x", "a"], dependencies: ["x": ["a"], "a": ["b"], "b": ["a"]])
        }
        #expect(message.contains("circle: a -> b -> a"))
    }

    @Test("where dependencies leave a choice, the recipe decides, and else the file")
    func ties() throws {
        let graph = ["top": ["y", "x", "free", "z"]]
        #expect(
            try LayerOrder.order(roots: ["top", "x", "y", "z"], dependencies: graph)
                == ["x", "y", "free", "z", "top"]
        )
        #expect(try LayerOrder.order(roots: ["top"], dependencies: graph) == ["y", "x", "free", "z", "top"])
    }
}
