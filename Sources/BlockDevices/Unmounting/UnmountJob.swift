// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model
import Programs

/// The side of unmounting and mounting that may hang: a process of its own, as everything that waits for a device.
package struct UnmountJob: Codable, Sendable {
    /// The private subcommand by which the program starts itself to do it.
    package static let subcommand = "_unmount"

    enum Direction: String, Codable {
        case unmount, mount
    }

    /// What became of one step. No later one is done after one that failed.
    struct Answer: Codable {
        let step: Int
        /// nil: it was done.
        let error: String?
        /// Who keeps it from being unmounted, as far as that can be seen.
        let users: [String]
    }

    let direction: Direction
    let steps: [MountStep]

    /// Reads the job from standard input and does it.
    ///
    /// - Returns: the process's exit status.
    package static func run() throws -> Int32 {
        let session = WorkerSession()
        let job = try session.receive(UnmountJob.self)
        session.emitReady()
        for (index, step) in job.steps.enumerated() {
            let error =
                switch job.direction {
                case .unmount: step.unmount()
                case .mount: step.mount(among: job.steps)
                }
            // Said as soon as it is done: a later step may hang.
            let users = error != nil && job.direction == .unmount ? MountUsers(of: step).sentences : []
            session.emit(Answer(step: index, error: error, users: users))
            if error != nil && job.direction == .unmount { break }
        }
        return 0
    }
}

extension MountStep {
    /// - Returns: why not.
    fileprivate func unmount() -> String? {
        // What was mounted here since is not ours to take away.
        guard topmost() == id else { return "something else is mounted there by now" }
        // Not lazily and not by force: what is in use stays.
        guard unsafe umount2(mountPoint, Int32(UMOUNT_NOFOLLOW)) != 0 else { return nil }
        return "\(Errno.current)"
    }

    private func topmost() -> Int? {
        let lines = FileTree().bytes("/proc/self/mountinfo").map { String(decoding: $0, as: UTF8.self) } ?? ""
        let mounts = lines.split(separator: "\n").compactMap { Mount(line: $0) }
        return SystemView(nodes: [], mounts: mounts).mount(holding: mountPoint, process: nil)?.id
    }

    /// - Returns: why not.
    fileprivate func mount(among steps: [MountStep]) -> String? {
        let whole = steps.first { $0.device == device && $0.root == "/" && $0.mountPoint != mountPoint }
        let error: Int32
        if root != "/", fileSystem != "btrfs", let whole {
            let folder = whole.mountPoint + root
            error = unsafe Glibc.mount(folder, mountPoint, nil, MountFlag.bind, nil)
        } else {
            let data = options.filter { !Self.words.keys.contains($0) && $0 != "rw" && $0 != "seclabel" }
            let bits = Self.bits(flags.filter { $0 != "ro" } + options)
            let first = unsafe Glibc.mount(node, mountPoint, fileSystem, bits, data.joined(separator: ","))
            // Some file systems show options that they do not take: better without than not at all.
            error = first == 0 || errno == EBUSY ? first : unsafe Glibc.mount(node, mountPoint, fileSystem, bits, nil)
        }
        guard error == 0 else { return "\(Errno.current)" }
        // Of the mount alone, which may be read-only where the file system is not.
        let own = Self.bits(flags) | MountFlag.remount | MountFlag.bind
        _ = unsafe Glibc.mount(nil, mountPoint, nil, own, nil)
        _ = unsafe Glibc.mount(nil, mountPoint, nil, isShared ? MountFlag.shared : MountFlag.private, nil)
        return nil
    }

    private static let words: [String: UInt] = [
        "ro": 1, "nosuid": 2, "nodev": 4, "noexec": 8, "sync": 16, "dirsync": 128, "noatime": 1024, "nodiratime": 2048,
        "relatime": 1 << 21,
    ]

    private static func bits(_ words: [String]) -> UInt {
        words.reduce(0) { $0 | (Self.words[$1] ?? 0) }
    }
}

/// Of linux/mount.h: Swift finds each of its names twice, there and in the C library.
private enum MountFlag {
    static let remount: UInt = 32
    static let bind: UInt = 4096
    static let `private`: UInt = 1 << 18
    static let shared: UInt = 1 << 20
}
