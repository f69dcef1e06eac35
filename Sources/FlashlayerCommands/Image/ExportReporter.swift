// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ImageExport
import Model
import Synchronization

/// Shows how far an export is: a bar on a terminal, a line now and then elsewhere.
final class ExportReporter: Sendable {
    private struct State {
        var step: ExportRun.Step?
        var line = ProgressLine()
        var shown = ContinuousClock.now
    }

    private let console: Console
    /// In front of each line; empty when there is but one export.
    private let title: String
    private let state = Mutex(State())

    init(_ console: Console, title: String = "") {
        self.console = console
        self.title = title
    }

    /// Does work that tells what goes on, and shows that.
    func during<Result>(_ work: (@escaping ExportRun.Progress) async throws -> Result) async throws -> Result {
        defer { console.clearStatus() }
        return try await work { self.show($0, $1, $2) }
    }

    private func show(_ step: ExportRun.Step, _ done: UInt64, _ total: UInt64) {
        // A status line is redrawn often; without a terminal a line now and then is enough.
        let interval = Duration.milliseconds(console.isTerminal ? 250 : 5000)
        let line: String? = state.withLock { state in
            let now = ContinuousClock.now
            if state.step != step {
                state.step = step
                state.line = ProgressLine()
            } else if now - state.shown < interval {
                return nil
            }
            guard console.isTerminal || now - state.shown >= interval else { return nil }
            state.shown = now
            let width = console.isTerminal ? console.width - title.count : .max
            return title + state.line.line(step.rawValue, done: done, total: total, width: width)
        }
        guard let line else { return }
        if console.isTerminal { console.status(line) } else { console.say(line) }
    }

    static func line(_ result: ExportResult) -> String {
        let more = result.files.count > 1 ? " and \(result.files.count - 1) more" : ""
        let tenths = Int((result.seconds * 10).rounded())
        return "\(result.files.first ?? "")\(more)  \(result.form), \(ByteSize.describe(result.storedSize)) for "
            + "\(ByteSize.describe(result.size))  \(result.imageDigest)  read back, \(tenths / 10).\(tenths % 10) s"
    }
}
