// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Layers
package import Resolution

extension Cache {
    /// Whether a build would find the result of this phase, and why, for a person. What is behind the base depends on the
    /// versions of packages, which only a build asks for.
    package func state(of phase: PlannedPhase) -> (isCached: Bool, reason: String) {
        guard phase.phase == .base else { return (false, "a build asks for the versions of packages first") }
        return BaseEntry(at: base(phase.key)) != nil
            ? (true, "made by an earlier build") : (false, "no build of this base is in \(path)")
    }
}
