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
        switch job.direction {
        case .unmount:
            for (index, step) in job.steps.enumerated() {
                let error = step.unmount()
                // Said as soon as it is done: a later step may hang.
                let users = error == nil ? [] : MountUsers(of: step).sentences
                session.emit(Answer(step: index, error: error, users: users))
                if error != nil { break }
            }
        case .mount:
            var work = Remounting(job.steps)
            work.run { session.emit(Answer(step: $0, error: $1, users: [])) }
        }
        return 0
    }
}

extension SystemView {
    /// What is mounted in this namespace at this moment, and nothing else.
    static var mountedNow: SystemView {
        let lines = FileTree().bytes("/proc/self/mountinfo").map { String(decoding: $0, as: UTF8.self) } ?? ""
        return SystemView(nodes: [], mounts: lines.split(separator: "\n").compactMap { Mount(line: $0) })
    }
}

extension MountStep {
    /// - Returns: why not.
    fileprivate func unmount() -> String? {
        // What was mounted here since is not ours to take away, whatever number it got.
        guard let mount = SystemView.mountedNow.mount(holding: mountPoint, process: nil), isSame(mount) else {
            return "something else is mounted there by now"
        }
        // Not lazily and not by force: what is in use stays.
        guard unsafe umount2(mountPoint, Int32(UMOUNT_NOFOLLOW)) != 0 else { return nil }
        return "\(Errno.current)"
    }
}
