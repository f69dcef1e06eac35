// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Resolution

extension [BuildSegment] {
    /// Why the phases behind a checkpoint are to do, for a person.
    ///
    /// - Parameters:
    ///   - kept: the last part whose checkpoint holds; nil: none does.
    ///   - refresh: phases that are asked for although they are cached.
    ///   - doubt: why it is not even known what the first of them would do.
    func reasons(
        after kept: Int?,
        of plan: Plan,
        in cache: Cache,
        refreshing refresh: Set<Phase> = [],
        doubt: String? = nil
    ) -> [(phase: Phase, reason: String)] {
        let due = self[((kept ?? -1) + 1)...]
        var reasons: [(phase: Phase, reason: String)] = []
        for phase in Phase.allCases where due.contains(where: { $0.phase == phase }) {
            let isFirst = reasons.isEmpty
            let parts = due.filter { $0.phase == phase }
            let reason =
                if refresh.contains(phase) {
                    "refreshed"
                } else if isFirst, let doubt {
                    doubt
                } else if let change = Self.change(of: parts, plan, cache) {
                    change
                } else {
                    isFirst ? "not built yet" : "after a phase that is to do"
                }
            reasons.append((phase, reason))
        }
        return reasons
    }

    /// What makes them others than those that an earlier build of the project left.
    private static func change(of parts: [BuildSegment], _ plan: Plan, _ cache: Cache) -> String? {
        for part in parts {
            let place = (plan.name, plan.variant, part.phase, part.layer)
            guard let earlier = Checkpoint.latest(like: place, in: cache) else {
                if let layer = part.layer { return "the scripts of layer \(layer) have not been run yet" }
                continue
            }
            if let difference = part.ingredients.difference(from: earlier.ingredients) { return difference }
        }
        return nil
    }
}
