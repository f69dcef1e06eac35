// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Layers
import Model
import Programs
import Resolution

/// The disk of a build that failed, kept for whoever wants to know how far it came.
struct FailedDisk: Sendable {
    /// Where it is kept, beside the image that was to be.
    let path: String

    /// Makes a file of its own of a disk that refers to the cache. One that cannot be kept is a warning: the build's own
    /// error is the one to be told.
    ///
    /// - Returns: the error, with where the disk is and how to look into it.
    func keep(_ disk: String, of failure: FlashlayerError, log: BuildLog) async -> FlashlayerError {
        do {
            try await copy(disk, log)
        } catch {
            log.tell(.warning("the disk of the failed build is not kept: \(FlashlayerError(wrapping: error).message)"))
            return failure
        }
        var status = stat()
        let size = unsafe stat(path, &status) == 0 ? UInt64(status.st_blocks) * 512 : 0
        let place =
            "its disk is kept in \(path) (\(ByteSize.describe(size))); to look into it: "
            + "guestfish --ro --inspector --add \(path.shellQuoted)"
        let advice = failure.advice.map { "\($0)\n  \(place)" } ?? place
        return FlashlayerError(failure.code, failure.message, advice: advice, offset: failure.offset)
    }

    private func copy(_ disk: String, _ log: BuildLog) async throws {
        log.tell(.activity("keeping the disk of the failed build"))
        let temporary = "\(path).part-\(getpid())"
        defer { unsafe unlink(temporary) }
        try await SpaceWatch(path: Path.parent(of: Path.absolute(path))).during {
            _ = try await QEMU.image().run([
                "convert", "-q", "-f", "qcow2", "-O", "qcow2", disk, QemuImage.argument(temporary),
            ])
        }
        OutputOwner.adopt(temporary)
        guard unsafe rename(temporary, path) == 0 else {
            throw FlashlayerError.system("put the disk into \(path)", .current, code: .cannotCreate)
        }
    }
}
