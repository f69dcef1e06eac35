// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Programs

/// A disk that takes its time: memory behind nbdkit, which delays every request, behind FUSE, behind a loop device. It
/// has no offload for zeros either, as most USB sticks.
package final class SlowDevice: Sendable {
    package let loop: LoopDevice
    private let folder: TemporaryFolder
    private let server: Task<Void, any Error>

    package static let requirement = "needs root, nbdkit and nbdfuse"
    package static var isAvailable: Bool {
        LoopDevice.isAvailable && (try? Program("nbdfuse", debianPackage: "nbdfuse")) != nil
            && (try? Program("nbdkit", debianPackage: "nbdkit")) != nil
    }

    /// - Parameters:
    ///   - size: bytes.
    ///   - delay: of each write request, in milliseconds.
    ///   - readDelay: of each read request, in milliseconds.
    package init(size: UInt64, delay: Int, readDelay: Int = 0) async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("", to: "disk")
        let nbdfuse = try Program("nbdfuse", debianPackage: "nbdfuse")
        let server = Task {
            _ = try await nbdfuse.outcome([
                file, "--command", "nbdkit", "-s", "memory", "\(size)", "--filter=delay", "wdelay=\(delay)ms",
                "rdelay=\(readDelay)ms",
            ])
        }
        var status = stat()
        for _ in 0..<100 {
            if unsafe stat(file, &status) == 0, status.st_size == off_t(size) { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        guard UInt64(status.st_size) == size else {
            server.cancel()
            throw FlashlayerError(.unavailable, "nbdfuse did not come up", advice: "is /dev/fuse there?")
        }
        self.folder = folder
        self.server = server
        loop = try LoopDevice(attaching: file)
    }

    /// Takes it all apart; must be called. Whoever still waits for the device gets an error.
    package func close() async throws {
        loop.close()
        let fusermount = try Program("fusermount3", debianPackage: "fuse3")
        for _ in 0..<50 {
            if try await fusermount.outcome(["-u", folder.file("disk")]).status == 0 {
                _ = await server.result
                return
            }
            try await Task.sleep(for: .milliseconds(100))
        }
        // Somebody reads it yet, and a slow device may keep them for minutes: without its server it fails at once.
        server.cancel()
        _ = await server.result
        _ = try await fusermount.outcome(["-u", "-z", folder.file("disk")])
    }
}
