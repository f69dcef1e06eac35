// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Resolution
import TestSupport
import Testing

@Suite("The cache")
struct CacheTests {
    @Test("a lock is held by one at a time, and leaves no file")
    func lock() async throws {
        let folder = try TemporaryFolder()
        let path = folder.file("key.lock")
        var first: KeyLock? = try await KeyLock.hold(path) {}
        #expect(first != nil)
        let second = Task {
            let lock = try await KeyLock.hold(path) {}
            return FileManager.default.fileExists(atPath: path) && ObjectIdentifier(lock) == ObjectIdentifier(lock)
        }
        try await Task.sleep(for: .milliseconds(300))
        #expect(FileManager.default.fileExists(atPath: path))
        first = nil
        #expect(try await second.value)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test("waiting for a lock can be cancelled")
    func cancelledWait() async throws {
        let folder = try TemporaryFolder()
        let held = try await KeyLock.hold(folder.file("key.lock")) {}
        let waiting = Task { try await KeyLock.hold(folder.file("key.lock")) {} }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { _ = try await waiting.value }
        withExtendedLifetime(held) {}
    }

    @Test("a folder of a build that was killed is removed by the next one; that of a running build is not")
    func sweep() async throws {
        let folder = try TemporaryFolder()
        let cache = Cache(path: folder.path)
        let running = try await WorkFolder.make(in: cache)
        try folder.write("half", to: "work/killed/disk.raw")
        for path in [running.path, folder.file("work/killed")] {
            var times = [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 1000, tv_usec: 0)]
            #expect(unsafe utimes(path, &times) == 0)
        }
        let next = try await WorkFolder.make(in: cache)
        #expect(!FileManager.default.fileExists(atPath: folder.file("work/killed")))
        #expect(FileManager.default.fileExists(atPath: running.path))
        await next.remove()
        #expect(!FileManager.default.fileExists(atPath: next.path))
    }
}
