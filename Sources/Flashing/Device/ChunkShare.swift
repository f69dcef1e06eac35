// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Synchronization

/// One target's share of the buffers that all targets read into: whoever is slow keeps no more than that from the
/// others.
final class ChunkShare: Sendable {
    private let pool: ChunkPool
    private let limit: Int
    private let held = Atomic<Int>(0)

    init(of pool: ChunkPool, targets: Int) {
        self.pool = pool
        limit = max(1, pool.chunks / max(1, targets))
    }

    /// - Returns: nil while the share is used up.
    func take(index: Int, length: Int) -> Chunk? {
        guard held.load(ordering: .acquiring) < limit, let buffer = pool.takeIfPresent() else { return nil }
        held.add(1, ordering: .acquiringAndReleasing)
        return Chunk(index: index, length: length, buffer: buffer, pool: pool) { [self] in
            held.subtract(1, ordering: .acquiringAndReleasing)
        }
    }
}
