// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Programs
import Threads

/// The observer's own side: the only code that opens devices to look at them.
package struct ObserverJob: Codable, Sendable {
    /// The private subcommand by which the program starts itself as an observer.
    package static let subcommand = "_observe"

    enum Aspect: String, Codable {
        case content, loop, folder, access
    }

    struct Answer: Codable {
        let path: String
        var content: ProbeOutcome?
        var loop: LoopStatus?
        var isSeen: Bool?
        var access: ExclusiveAccess?
    }

    let aspect: Aspect
    let paths: [String]

    /// Reads the job from standard input and does it.
    ///
    /// - Returns: the process's exit status.
    package static func run() throws -> Int32 {
        let session = WorkerSession()
        let job = try session.receive(ObserverJob.self)
        // Threads that are stuck would keep the process from ending in any other way.
        session.whenCancelled { _exit(0) }
        session.emitReady()
        let threads = try job.paths.map { path in
            try OwnThread(named: "observe") { session.emit(job.answer(path)) }
        }
        for thread in threads { thread.join() }
        return 0
    }

    private func answer(_ path: String) -> Answer {
        switch aspect {
        case .content:
            Answer(path: path, content: (try? ContentProbe(path).content()).map { .content($0) } ?? .unreadable)
        case .loop: Answer(path: path, loop: LoopStatus(of: path).lookingForItsFile(path))
        case .folder: Answer(path: path, isSeen: !FileTree().names(in: path).isEmpty)
        case .access: Answer(path: path, access: ExclusiveAccess(of: path))
        }
    }
}

extension LoopStatus {
    /// Looks where the file is that a loop device has: its name may be another file's by now. Its file system may hang as
    /// well as the device.
    fileprivate func lookingForItsFile(_ device: String) -> LoopStatus {
        let name = device.split(separator: "/").last ?? ""
        guard case .backed(let fileSystem, let inode, let number, _) = self,
            let path = FileTree().text("/sys/class/block/\(name)/loop/backing_file")
        else { return self }
        var status = stat()
        let isAtPath = unsafe stat(path, &status) == 0 && status.st_dev == fileSystem && status.st_ino == inode
        return .backed(fileSystem: fileSystem, inode: inode, device: number, isAtPath: isAtPath)
    }

    /// Which file of which file system a loop device has, whatever its name is now.
    init(of path: String) {
        let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            self = .unknown
            return
        }
        defer { close(descriptor) }
        self.init(of: descriptor)
    }

    init(of descriptor: Int32) {
        var status = loop_info64()
        // SAFETY: LOOP_GET_STATUS64 fills the structure it is given; see loop(4).
        guard unsafe ioctl(descriptor, UInt(LOOP_GET_STATUS64), &status) == 0 else {
            self = .unknown
            return
        }
        self = .backed(fileSystem: status.lo_device, inode: status.lo_inode, device: status.lo_rdevice)
    }
}
