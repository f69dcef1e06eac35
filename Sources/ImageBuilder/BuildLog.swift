// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Layers
package import Model
package import Resolution
import Synchronization

/// The full log of a build: every event, and every line that any program printed.
package final class BuildLog: Sendable {
    package let path: String
    private let descriptor: Int32
    private let observer: BuildObserver
    private let redaction: Redaction
    private let start = ContinuousClock.now
    /// The notes that were told: several parts of a build come to the same, and each is said once.
    private let notes = Mutex<Set<String>>([])

    /// Replaces the log of an earlier build.
    ///
    /// - Throws: `cannot-create`, `no-space`, `not-permitted`.
    package convenience init(path: String, observer: @escaping BuildObserver) throws {
        try self.init(path: path, redaction: .none, observer: observer)
    }

    init(path: String, redaction: Redaction, observer: @escaping BuildObserver) throws {
        self.path = path
        self.observer = observer
        self.redaction = redaction
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw FlashlayerError.system("write the build log \(path)", .current, code: .cannotCreate)
        }
        OutputOwner.adopt(path)
    }

    deinit {
        _ = Glibc.close(descriptor)
    }

    package func tell(_ event: BuildEvent) {
        let event = redaction.apply(to: event)
        notes.withLock { notes in
            if case .note(let text) = event, !notes.insert(text).inserted { return }
            write(Self.line(for: event))
            observer(event)
        }
    }

    /// The last line of a log that ends in failure.
    package func close(with error: FlashlayerError) {
        notes.withLock { _ in write("failed: \(error.message) [\(error.code.rawValue)]") }
    }

    /// Seconds since the build began stand before each line. A log that cannot be written (a full disk) stops no build.
    private func write(_ line: String) {
        let hundredths = Int((ContinuousClock.now - start) / .milliseconds(10))
        let fraction = hundredths % 100
        let text = "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) \(line)\n"
        _ = unsafe Array(text.utf8).withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    private static func line(for event: BuildEvent) -> String {
        switch event {
        case .note(let text): "note: \(text)"
        case .warning(let text): "warning: \(text)"
        case .started(let phase): "== \(phase.rawValue)"
        case .due(let phase, let reason): "== \(phase.rawValue): to do: \(reason)"
        case .cached(let phase): "== \(phase.rawValue): cached"
        case .finished(let phase, let seconds): "== \(phase.rawValue): \((seconds * 10).rounded() / 10) s"
        case .activity(let text): "-- \(text)"
        case .output(let source, let line): "\(source): \(line)"
        }
    }
}
