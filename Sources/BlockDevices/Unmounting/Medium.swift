// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// The medium that something was mounted from, as the kernel knew it when the disk was chosen.
struct Medium: Codable, Sendable, Equatable {
    /// `st_rdev` of the node.
    let number: UInt64
    /// Of the whole disk, `8:16`.
    let disk: String
    /// The kernel's number of the medium; nil before Linux 5.15.
    let diskseq: UInt64?
    /// Of the whole disk, bytes.
    let size: UInt64

    /// Whether that medium is there, and the node leads to it.
    func isThere(at node: String, _ tree: FileTree = FileTree()) -> Bool {
        var status = stat()
        guard unsafe stat(node, &status) == 0, status.st_mode & S_IFMT == S_IFBLK, UInt64(status.st_rdev) == number
        else { return false }
        let folder = "/sys/dev/block/" + disk
        return tree.number(folder + "/size").map { $0 << 9 } == size
            && (diskseq == nil || tree.number(folder + "/diskseq") == diskseq)
    }
}
