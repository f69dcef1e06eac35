// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Layers
import Model
package import Resolution

/// Whether a build would find the result of a phase, and why, for a person. Nothing is fetched to find out.
package struct PhaseState: Sendable, Equatable {
    package let phase: PlannedPhase
    package let isCached: Bool
    package let reason: String

    /// Of all phases, in order.
    package static func all(of project: ResolvedProject, in cache: Cache) async throws -> [PhaseState] {
        let plan = project.plan
        let unresolved = try plan.phases()
        guard let base = try BaseBuild.kept(for: project, in: cache) else {
            return unresolved.map { phase in
                let reason = phase.phase == .base ? whyNoBase(phase, cache) : "after the base"
                return PhaseState(phase: phase, isCached: false, reason: reason)
            }
        }
        let (selection, apart) = try packages(project, base)
        let inGuest = try GuestSelection(project, base)
        let doubt = apart ?? inGuest.doubt
        if project.lockUse == .require, let doubt {
            throw LockFile.packagesDrift(doubt)
        }
        let resolved = (selection?.packages.map(\.ingredient) ?? []) + inGuest.ingredients
        let phases = try plan.phases(resolved: [.packages: resolved])
        let segments = try BuildSegment.all(of: phases, base: base, cache: cache)
        let kept = doubt == nil ? segments.lastKept(refreshing: []) : nil
        let due = segments.reasons(after: kept, of: plan, in: cache, doubt: doubt)
        return phases.map { phase in
            let reason = due.first { $0.phase == phase.phase }?.reason
            return PhaseState(phase: phase, isCached: reason == nil, reason: reason ?? "made by an earlier build")
        }
    }

    /// What the lock says about the packages; or why that is not known before a build.
    private static func packages(_ project: ResolvedProject, _ base: BaseEntry) throws -> (
        BuildLock.Selection?, String?
    ) {
        let request = PackageFetch.Request(project.plan, base)
        guard !request.names.isEmpty else { return (nil, nil) }
        guard project.lockUse != .renew, let locked = project.lock?.build.packages else {
            return (nil, "the versions of its packages are not locked yet: a build asks for them")
        }
        if let drift = locked.drift(from: try request.ingredients) { return (nil, drift) }
        return (locked, nil)
    }

    static func whyNoBase(_ phase: PlannedPhase, _ cache: Cache) -> String {
        let ingredients = phase.checkpoints.first?.ingredients ?? []
        let newest = cache.entries(of: .base).compactMap { BaseEntry(at: $0) }.max { $0.time < $1.time }
        guard let newest else { return "no base has been made yet" }
        return ingredients.difference(from: newest.ingredients).map { "since the last base: \($0)" }
            ?? "not made of the packages that flashlayer.lock names"
    }
}
