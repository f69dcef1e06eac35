// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Without an offload for zeros, a range is read first and written only where it is not zero already: reading is
/// faster than writing on every medium that lacks the offload. Where nothing is zero, reading is a waste; so this
/// remembers how it went, and asks again from time to time, ever more seldom.
struct ZeroChoice {
    private static let longestPause = 1024

    /// Ranges in a row that were not zero.
    private var misses = 0
    private var pause = 32
    private var writesLeft = 0

    /// Whether the next range should be read first.
    mutating func readsFirst() -> Bool {
        guard writesLeft > 0 else { return true }
        writesLeft -= 1
        return false
    }

    /// What reading a range found.
    mutating func found(zero: Bool) {
        guard !zero else {
            misses = 0
            pause = 32
            return
        }
        misses += 1
        guard misses >= 2 else { return }
        writesLeft = pause
        pause = min(Self.longestPause, 2 * pause)
    }
}
