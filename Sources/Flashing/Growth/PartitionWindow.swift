// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model

/// A part of a claimed disk as a device of its own, for programs that want one: a loop device over the disk. The claim
/// is kept, and the kernel has no node for the partition yet that somebody could mount. See loop(4).
///
/// It goes by itself when nobody has it open any more, also when this process is killed.
struct PartitionWindow: ~Copyable {
    /// `/dev/loopN`.
    let path: String
    private let descriptor: Int32

    /// - Parameters:
    ///   - disk: the descriptor of the claim.
    ///   - range: on the disk, in bytes.
    /// - Throws: `grow-failed`.
    init(disk: Int32, _ range: Range<UInt64>, sectorSize: UInt64) throws {
        // Not the claim's own: it would be kept for as long as the loop device is.
        let backing = unsafe flashlayer_open("/proc/self/fd/\(disk)", O_RDWR | O_CLOEXEC, 0)
        guard backing >= 0 else { throw Self.failure("open the disk once more") }
        defer { close(backing) }
        let control = unsafe flashlayer_open("/dev/loop-control", O_RDWR | O_CLOEXEC, 0)
        guard control >= 0 else { throw Self.failure("open /dev/loop-control") }
        defer { close(control) }
        for _ in 0..<100 {
            let number = ioctl(control, UInt(LOOP_CTL_GET_FREE))
            guard number >= 0 else { throw Self.failure("find a free loop device") }
            let path = "/dev/loop\(number)"
            let loop = unsafe flashlayer_open(path, O_RDWR | O_CLOEXEC, 0)
            guard loop >= 0 else { throw Self.failure("open \(path)") }
            var configuration = loop_config()
            configuration.fd = UInt32(backing)
            configuration.block_size = UInt32(sectorSize)
            configuration.info.lo_offset = range.lowerBound
            configuration.info.lo_sizelimit = UInt64(range.count)
            configuration.info.lo_flags = UInt32(LO_FLAGS_AUTOCLEAR)
            // SAFETY: LOOP_CONFIGURE only reads the structure, which lives until the call returns.
            if unsafe ioctl(loop, UInt(LOOP_CONFIGURE), &configuration) == 0 {
                // udev leaves locked devices alone, and so do those who wait for its word.
                flock(loop, LOCK_EX | LOCK_NB)
                self.path = path
                descriptor = loop
                return
            }
            let error = Errno.current
            close(loop)
            // Somebody else was quicker.
            guard error.value == EBUSY else { throw Self.failure("attach \(path)", error) }
            usleep(10_000)
        }
        throw FlashlayerError(.growFailed, "no loop device could be had")
    }

    deinit {
        fsync(descriptor)
        close(descriptor)
    }

    private static func failure(_ what: String, _ error: Errno = .current) -> FlashlayerError {
        FlashlayerError(.growFailed, "cannot \(what): \(error)")
    }
}
