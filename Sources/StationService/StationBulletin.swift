// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import StationProtocol
import Threads

/// The station's status, for whoever wants to hear of every change of it.
package final class StationBulletin: Sendable {
    package struct Issue: Sendable {
        /// Rises with every change.
        package let number: UInt64
        package let status: StationStatus
    }

    private let current: Monitor<Issue>

    package init(_ status: StationStatus) {
        current = Monitor(Issue(number: 1, status: status))
    }

    func publish(_ status: StationStatus) {
        current.update { issue in
            guard issue.status != status else { return }
            issue = Issue(number: issue.number + 1, status: status)
        }
    }

    package var latest: Issue { current.update { $0 } }

    /// Blocks until there is another issue than the one that is known.
    ///
    /// - Returns: nil when there was none in time.
    package func wait(after number: UInt64, upTo limit: Duration) -> Issue? {
        current.wait(upTo: limit) { $0.number != number ? $0 : nil }
    }
}
