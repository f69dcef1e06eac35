// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs
import Resolution

/// What lies in the new system's /dev before a kernel puts its own file system there. mmdebstrap makes it as root; an
/// ordinary user may not make device nodes anywhere, but may write them into a file system that lies in a file.
enum DeviceFiles {
    /// Numbers are those of "Linux allocated devices" in the kernel's documentation.
    private static let nodes = [
        ("console", 5, 1), ("full", 1, 7), ("null", 1, 3), ("ptmx", 5, 2), ("random", 1, 8), ("tty", 5, 0),
        ("urandom", 1, 9), ("zero", 1, 5),
    ]
    private static let links = [
        ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ]

    /// - Parameter root: the tree, on this machine.
    static func layLinks(in root: String) throws {
        guard UserNamespace.isNeeded else { return }
        for folder in ["pts", "shm"] {
            let path = "\(root)/dev/\(folder)"
            guard unsafe mkdir(path, 0o755) == 0 || errno == EEXIST else {
                throw FlashlayerError.system("make \(path)", .current, code: .cannotCreate)
            }
        }
        for (name, target) in links {
            let path = "\(root)/dev/\(name)"
            guard unsafe symlink(target, path) == 0 || errno == EEXIST else {
                throw FlashlayerError.system("make \(path)", .current, code: .cannotCreate)
            }
        }
    }

    /// - Parameters:
    ///   - disk: a raw image.
    ///   - offset: of the root file system, in bytes.
    static func makeNodes(on disk: String, offset: UInt64, work: WorkFolder) async throws {
        guard UserNamespace.isNeeded else { return }
        let script = work.file("nodes")
        // See debugfs(8). It goes on after a request that failed: what came of them is looked at.
        var requests = ["cd /dev"]
        for (name, major, minor) in nodes {
            requests.append("mknod \(name) c \(major) \(minor)")
            requests.append("set_inode_field \(name) mode 020666")
        }
        try HostFile.write(requests.joined(separator: "\n") + "\n", to: script)
        let debugfs = try Program("debugfs", debianPackage: "e2fsprogs")
        let place = "\(disk)?offset=\(offset)"
        try await debugfs.run(["-w", "-f", script, place])
        let list = try await debugfs.run(["-R", "ls -l /dev", place])
        let made = list.split(separator: "\n").filter { $0.contains(" 20666 (3) ") }.count
        guard made == nodes.count else {
            throw FlashlayerError(.buildFailed, "debugfs did not make the device nodes of the new system:\n  \(list)")
        }
    }
}
