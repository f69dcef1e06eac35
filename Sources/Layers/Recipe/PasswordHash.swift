// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What stands in the second field of shadow(5): a hash as crypt(3) makes it, or a lock. It describes itself by nothing,
/// so that no message and no log comes to hold it.
package struct PasswordHash: Codable, Sendable, Equatable, CustomStringConvertible {
    package let text: String

    /// - Returns: nil when it is neither a whole hash of a kind that withstands guessing, nor a lock; see crypt(5).
    package init?(_ text: String) {
        guard Self.locks.contains(text) || Self.isHash(text) else { return nil }
        self.text = text
    }

    package var description: String { "(a password's hash)" }

    /// No password opens it.
    package var isLock: Bool { Self.locks.contains(text) }

    private static let locks = ["!", "*", "!*", "!!"]

    /// The parts between the `$` of each kind: how many there are, and how long the last one is. DES and MD5 (`$1$`) are
    /// not among them.
    private static func isHash(_ text: String) -> Bool {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 4, parts.first == "", let hash = parts.last,
            parts.dropFirst().allSatisfy({ !$0.isEmpty && $0.isASCIIAlphanumeric(or: "./=,") })
        else { return false }
        switch parts[1] {
        case "y", "gy", "7":
            return hash.utf8.count == 43 && (parts[1] == "7" ? parts.count == 4 : parts.count == 5)
        case "6":
            return hash.utf8.count == 86 && hasSalt(parts)
        case "5":
            return hash.utf8.count == 43 && hasSalt(parts)
        case "2a", "2b", "2y":
            // Salt and hash stand together.
            return parts.count == 4 && UInt8(parts[2]) != nil && hash.utf8.count == 53
        default:
            return false
        }
    }

    /// `$6$SALT$HASH` or `$6$rounds=N$SALT$HASH`.
    private static func hasSalt(_ parts: [String]) -> Bool {
        parts.count == 4 && parts[2].utf8.count <= 16
            || parts.count == 5 && parts[2].hasPrefix("rounds=") && parts[3].utf8.count <= 16
    }
}
