// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Flashing
import Model
import Synchronization
import Threads

/// What was unmounted from targets so that they can be written, until it is known whether they were.
final class TargetRelease: Sendable {
    private let disks: [Disk]
    private let reporter: FlashReporter
    private let console: Console
    /// By the target's path.
    private let gone = Mutex<[String: [MountStep]]>([:])

    init(_ disks: [Disk], _ reporter: FlashReporter, _ console: Console) {
        self.disks = disks
        self.reporter = reporter
        self.console = console
    }

    /// - Throws: `in-use`, which names who keeps a file system; `no-answer`; `not-permitted`.
    func unmount() async throws {
        for disk in disks {
            let steps = disk.unmounting
            guard !steps.isEmpty else { continue }
            try await onOwnThread(named: "unmount") { [self] in
                try Unmounting(of: disk.path).unmount(steps) { mountPoint, isMounted in
                    reporter.changed(disk.path, mountPoint, isMounted: isMounted)
                }
                gone.withLock { $0[disk.path] = steps }
            }
        }
    }

    /// Mounts again what was mounted from targets of which nothing was written. It never fails and is never interrupted:
    /// the error that led here is the one to tell.
    func restore() async {
        let gone = gone.withLock { gone in
            defer { gone = [:] }
            return gone
        }
        for (path, steps) in gone.sorted(by: { $0.key < $1.key }) where !reporter.wasTouched(path) {
            let notes = try? await onOwnThread(named: "mount") { [reporter] in
                Unmounting(of: path).mount(steps) { reporter.changed(path, $0, isMounted: true) }
            }
            for note in notes ?? [] { console.warn("\(path): \(note)") }
        }
    }
}
