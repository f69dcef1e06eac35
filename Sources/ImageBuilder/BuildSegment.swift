// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Layers
import Resolution

/// The smallest part of a build after its base: what happens between two checkpoints.
struct BuildSegment: Sendable {
    let phase: Phase
    /// Whose scripts these are; nil for other phases.
    let layer: String?
    /// Where its checkpoint is, or would be.
    let checkpoint: String
    let ingredients: [Ingredient]

    /// All of a build, in order.
    static func all(of phases: [PlannedPhase], base: BaseEntry, cache: Cache) throws -> [BuildSegment] {
        try phases.filter { $0.phase != .base }.flatMap { phase in
            try phase.checkpoints.map { checkpoint in
                BuildSegment(
                    phase: phase.phase,
                    layer: checkpoint.layer,
                    checkpoint: try Checkpoint.path(of: checkpoint.key, base: base, in: cache),
                    ingredients: checkpoint.ingredients
                )
            }
        }
    }
}

extension [BuildSegment] {
    /// The last one whose checkpoint is in the cache, among those before `refresh` asks for work.
    func lastKept(refreshing refresh: Set<Phase>) -> Int? {
        let end = firstIndex { refresh.contains($0.phase) } ?? count
        return indices.prefix(end).last { Checkpoint.exists(at: self[$0].checkpoint) }
    }
}
