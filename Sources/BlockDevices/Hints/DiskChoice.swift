// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// How a user names a disk: by a path, a link to one, or hints.
package enum DiskChoice: Sendable {
    /// A node, or a link such as those below /dev/disk.
    case path(String)
    case hints(DiskHints)

    /// - Throws: `usage` for hints that cannot be understood.
    package init(_ argument: String) throws {
        self = DiskHints.isMeant(by: argument) ? .hints(try DiskHints(argument)) : .path(argument)
    }
}

extension Inventory {
    /// The disk that the user means.
    ///
    /// - Throws: `notFound`, `ambiguous`, `notBlockDevice`, `partition`.
    package func disk(chosenBy choice: DiskChoice) throws -> Disk {
        switch choice {
        case .hints(let hints): try disk(at: try hints.choose(from: disks(read: false)).path)
        case .path(let path): try disk(at: nodePath(ofSequence: path) ?? path)
        }
    }

    /// The node of `/dev/disk/by-diskseq/N`, which only newer udev makes, and none without udevd.
    private func nodePath(ofSequence path: String) -> String? {
        let prefix = "/dev/disk/by-diskseq/"
        guard path.hasPrefix(prefix), view.names[path] == nil, let number = UInt64(path.dropFirst(prefix.count)) else {
            return nil
        }
        return disks(read: false).first { $0.diskseq == number }?.path
    }
}
