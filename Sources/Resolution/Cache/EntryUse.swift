// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model

/// Holds an entry of the cache in its place while a build reads it: nobody replaces or removes one that is in use.
package final class EntryUse: Sendable {
    private let descriptor: Int32

    /// - Returns: nil when there is no such entry, or it is being removed.
    package init?(of path: String) {
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_SH | LOCK_NB) == 0 else { return nil }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Notes that an entry is of use, for whoever prunes the cache.
    package static func touch(_ path: String) {
        _ = unsafe utimes(path, nil)
    }

    /// Removes an entry that nobody uses. It loses its name at once: half of one is never found under it, whatever becomes
    /// of this process.
    ///
    /// - Returns: false when somebody does.
    @discardableResult
    package static func remove(_ path: String) async -> Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return true }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return false }
        // The folder of unfinished work, which the next build sweeps: CACHE/KIND/KEY -> CACHE/work/gone-...
        let cache = path.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/")
        let gone = "\(cache)/work/gone-\(UUID().uuidString)"
        await WorkFolder.remove(unsafe rename(path, gone) == 0 ? gone : path)
        return true
    }

    /// Removes an entry once nobody uses it any more; cancelling the task ends the wait.
    package static func removeWhenFree(_ path: String, onWait: () -> Void) async throws {
        var hasWaited = false
        while await !remove(path) {
            if !hasWaited { onWait() }
            hasWaited = true
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}
