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

    /// - Throws: `in-use`, which names who keeps a file system; `no-answer`; `interrupted`; `not-permitted`.
    func unmount() async throws {
        for disk in disks {
            let steps = disk.unmounting
            guard !steps.isEmpty else { continue }
            let course = Course(steps.map(\.mountPoint))
            let heartbeat = Task { [reporter] in
                while true {
                    try await Task.sleep(for: Self.silence)
                    if let place = course.next { reporter.stillWriting(disk.path, place) }
                }
            }
            defer {
                heartbeat.cancel()
                console.clearStatus()
            }
            try await withTaskCancellationHandler {
                try await onOwnThread(named: "unmount") { [self] in
                    try Unmounting(of: disk.path).unmount(steps, isCancelled: { course.isCancelled }) {
                        course.step()
                        reporter.changed(disk.path, $0, isMounted: $1)
                    }
                    gone.withLock { $0[disk.path] = steps }
                }
            } onCancel: {
                course.cancel()
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
            if reporter.isChanged(path) {
                let places = steps.map { Printable.line($0.mountPoint) }.joined(separator: ", ")
                console.warn("\(path): not mounted again, it is not the disk any more that was chosen: \(places)")
                continue
            }
            let notes = try? await onOwnThread(named: "mount") { [reporter] in
                Unmounting(of: path).mount(steps) { reporter.changed(path, $0, isMounted: true) }
            }
            for note in notes ?? [] { console.warn("\(path): \(note)") }
        }
    }

    /// How often a person is told what is waited for.
    private static let silence = Duration.seconds(5)

    /// How far the unmounting of one disk is.
    private final class Course: Sendable {
        private let state: Mutex<(places: [String], isCancelled: Bool)>

        init(_ places: [String]) {
            state = Mutex((places, false))
        }

        var next: String? { state.withLock { $0.places.first } }
        var isCancelled: Bool { state.withLock { $0.isCancelled } }

        func step() {
            state.withLock { if !$0.places.isEmpty { $0.places.removeFirst() } }
        }

        func cancel() {
            state.withLock { $0.isCancelled = true }
        }
    }
}
