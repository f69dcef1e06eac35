// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Synchronization

/// Says yes to the first who asks, and to nobody after.
final class Once: Sendable {
    private let done = Atomic(false)

    func first() -> Bool {
        !done.exchange(true, ordering: .acquiringAndReleasing)
    }
}
