// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// The medium that something was mounted from, as the kernel knew it when the disk was chosen.
struct Medium: Codable, Sendable, Equatable {
    /// Where the node begins on the disk, in 512 bytes: a partition may have another number when its table was read again.
    let start: UInt64
    /// Of the whole disk, `8:16`.
    let disk: String
    /// The kernel's number of the medium; nil before Linux 5.15.
    let diskseq: UInt64?
    /// Of the whole disk, bytes.
    let size: UInt64

    /// Whether that medium is there, and the node leads to it.
    func isThere(at node: String) -> Bool { number(at: node) != nil }

    /// - Returns: `st_rdev` of the node; nil when that medium is not there.
    func number(at node: String, _ tree: FileTree = FileTree()) -> UInt64? {
        var status = stat()
        guard unsafe stat(node, &status) == 0, status.st_mode & S_IFMT == S_IFBLK else { return nil }
        let number = DeviceNumber(UInt64(status.st_rdev))
        guard KernelPartitions.disk(of: number)?.number.description == disk,
            (tree.number("/sys/dev/block/\(number)/start") ?? 0) == start
        else { return nil }
        let folder = "/sys/dev/block/" + disk
        let isSame =
            tree.number(folder + "/size").map { $0 << 9 } == size
            && (diskseq == nil || tree.number(folder + "/diskseq") == diskseq)
        return isSame ? number.rawValue : nil
    }
}
