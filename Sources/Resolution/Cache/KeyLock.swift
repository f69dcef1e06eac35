// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// Held by the one build that makes a cache entry, so that two builds at once do the work once. Nothing stays behind:
/// the file goes when the lock does.
package final class KeyLock: Sendable {
    private let path: String
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        // Removed while it is still held: whoever waits for it sees that the name leads elsewhere, and opens again.
        unsafe unlink(path)
        close(descriptor)
    }

    /// Waits for the lock; cancelling the task ends the wait.
    package static func hold(_ path: String, onWait: () -> Void) async throws -> KeyLock {
        var hasWaited = false
        while true {
            let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else {
                throw FlashlayerError.system("make the lock \(path)", .current, code: .cannotCreate)
            }
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
                if leads(path, to: descriptor) { return KeyLock(path: path, descriptor: descriptor) }
                close(descriptor)
                continue
            }
            close(descriptor)
            if !hasWaited { onWait() }
            hasWaited = true
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private static func leads(_ path: String, to descriptor: Int32) -> Bool {
        var held = stat()
        var named = stat()
        return unsafe fstat(descriptor, &held) == 0 && stat(path, &named) == 0
            && held.st_ino == named.st_ino && held.st_dev == named.st_dev
    }
}
