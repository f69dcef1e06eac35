// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// What the kernel counts of a disk or partition that is read as an image: it shows that somebody wrote to it, or that
/// another medium lies in the drive. See Documentation/ABI/stable/sysfs-block, `stat` and `diskseq`.
struct MediumWrites: Equatable {
    private let number: UInt64
    /// Sectors that were written or discarded since the device is there.
    private let sectors: [UInt64]
    /// A partition has it from its disk.
    private let diskSequence: String?

    /// - Parameter device: `st_rdev`. What sysfs does not tell is never different.
    init(of device: UInt64) {
        number = device
        let folder = "/sys/dev/block/\(flashlayer_major(device)):\(flashlayer_minor(device))"
        let fields = (Self.text("\(folder)/stat") ?? "").split(whereSeparator: \.isWhitespace).map { UInt64($0) ?? 0 }
        // Counted from 1: 7 are the sectors written, 14 those discarded.
        sectors = [6, 13].map { $0 < fields.count ? fields[$0] : 0 }
        diskSequence = Self.text("\(folder)/diskseq") ?? Self.text("\(folder)/../diskseq")
    }

    private static func text(_ path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
