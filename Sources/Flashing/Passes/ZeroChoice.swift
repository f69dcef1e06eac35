// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Without an offload for zeros, a range is read first and written only where it is not zero already: reading is
/// faster than writing on every medium that lacks the offload. Where hardly anything is zero, reading is a waste; so
/// this remembers how it went, and asks again from time to time.
struct ZeroChoice {
    private static let window = 8
    private static let pause = 64

    private var recent: [Bool] = []
    private var writesLeft = 0

    /// Whether the next range should be read first.
    mutating func readsFirst() -> Bool {
        guard writesLeft > 0 else { return true }
        writesLeft -= 1
        return false
    }

    /// What reading a range found.
    mutating func found(zero: Bool) {
        recent = recent.suffix(Self.window - 1) + [zero]
        if recent.count == Self.window, recent.count(where: { !$0 }) * 2 > Self.window {
            recent = []
            writesLeft = Self.pause
        }
    }
}
