// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// Writes the image's own ends, its first MiB last of all: from that moment on the target is a disk with an image.
struct CommitPass {
    let target: OpenTarget
    let limits: TransferQueue.Limits
    let monitor: JobMonitor

    /// - Returns: bytes written.
    func run(_ ends: WithheldEnds, verifies: Bool) throws -> UInt64 {
        let total = ends.ranges.reduce(0) { $0 + UInt64($1.count) }
        var meter = ProgressMeter(.commit, total: total, monitor)
        // Each on its own and flushed, so that the first sector is never there before the rest is.
        for (range, content) in zip(ends.ranges, ends.contents).reversed() {
            try monitor.checkCancelled()
            try transfer(.write, content, range)
            try flush()
            meter.add(UInt64(range.count))
        }
        if verifies {
            target.dropCache()
            for (range, content) in zip(ends.ranges, ends.contents) {
                let found = AlignedBuffer(count: content.count)
                try transfer(.read, found, range)
                let position = (0..<range.count).first { unsafe content.bytes[$0] != found.bytes[$0] }
                guard let position else { continue }
                let offset = range.lowerBound + UInt64(position)
                throw FlashlayerError(
                    .verifyFailed,
                    "\(target.path) differs from the image from byte \(offset) on, in what was written last",
                    offset: offset
                )
            }
        }
        meter.finish()
        return total
    }

    /// Everything that was written is on the medium when this returns, as far as the device tells the truth.
    func flush() throws {
        guard fsync(target.descriptor) == 0 else {
            throw FlashlayerError.system("flush \(target.path)", .current, code: .ioError)
        }
    }

    private func transfer(_ direction: Ring.Direction, _ buffer: AlignedBuffer, _ range: Range<UInt64>) throws {
        var queue = try TransferQueue(descriptor: target.descriptor, path: target.path, limits: limits)
        let count = Int(UInt64(range.count).roundedUp(to: target.sectorSize))
        try queue.add(Transfer(direction, buffer, count: count, offset: range.lowerBound))
        while !queue.isEmpty { _ = try queue.advance() }
    }
}
