// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model

/// Makes ranges of a target read as zero by the cheapest way that guarantees it.
///
/// First choice is the device's own offload: PUNCH_HOLE on a block device zeroes or fails, and never pretends (see
/// fallocate(2) and blkdev_fallocate in the kernel). Where there is none, the range is read, and only what is not zero
/// already is written: reading is faster than writing on every medium that lacks the offload.
struct ZeroFill {
    /// The kernel may write the zeros itself; a piece must end before anybody takes it for a hang. Bytes.
    private static let pieceSize: UInt64 = 64 << 20

    private let target: OpenTarget
    /// Ranges that the offload did not take, for `ZeroPass`.
    private(set) var remaining: [Range<UInt64>] = []
    private var hasOffload = true

    init(_ target: OpenTarget) {
        self.target = target
    }

    /// - Parameter range: in bytes on the target, multiples of its sector size.
    mutating func add(_ range: Range<UInt64>, _ monitor: JobMonitor) throws {
        var position = range.lowerBound
        while position < range.upperBound {
            try monitor.checkCancelled()
            let length = min(Self.pieceSize, range.upperBound - position)
            if !hasOffload {
                remaining.append(position..<range.upperBound)
                return
            }
            let result = flashlayer_fallocate(
                target.descriptor,
                flashlayer_punch_hole,
                off_t(position),
                off_t(length)
            )
            if result != 0 {
                let failure = Errno.current
                switch failure.value {
                case EINTR: continue
                case EOPNOTSUPP, ENOSYS, EINVAL, EPERM, ENODEV: hasOffload = false
                default:
                    throw FlashlayerError.system(
                        "zero \(target.path) at byte \(position)",
                        failure,
                        code: .ioError,
                        offset: position
                    )
                }
                continue
            }
            position += length
        }
    }
}
