// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Layers

/// What a build tells while it works. Whoever watches prints it; the whole of it goes to the log file in any case.
package enum BuildEvent: Sendable, Equatable {
    /// Said once, to everybody: how this build differs from what one might expect.
    case note(String)
    case warning(String)
    case started(Phase)
    /// The phase has to be carried out, and why: what changed since its result was kept.
    case due(Phase, reason: String)
    /// The phase is not carried out, because its result is at hand.
    case cached(Phase)
    case finished(Phase, seconds: Double)
    /// What happens now, for a status line.
    case activity(String)
    /// A line that a program printed; `source` says which.
    case output(source: String, line: String)
}

/// Is given the events in order, from several threads but never twice at once.
package typealias BuildObserver = @Sendable (BuildEvent) -> Void
