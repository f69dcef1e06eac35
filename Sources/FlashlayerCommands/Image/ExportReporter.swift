// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ImageExport
import Model
import Synchronization

/// Shows how far exports are: a bar for each on a terminal, a line now and then elsewhere.
final class ExportReporter: Sendable {
    /// Of one export.
    private struct State {
        let title: String
        var step: ExportRun.Step?
        var progress = ProgressLine()
        var shown = ContinuousClock.now
        /// The latest line; nil before the first and behind the last.
        var line: String?
    }

    private let console: Console
    private let states: Mutex<[State]>

    /// - Parameter titles: in front of the lines of each export; empty for one that is alone.
    init(_ console: Console, titles: [String] = [""]) {
        self.console = console
        states = Mutex(titles.map { State(title: $0) })
    }

    func show(_ index: Int, _ step: ExportRun.Step, _ done: UInt64, _ total: UInt64) {
        // A status line is redrawn often; without a terminal a line now and then is enough.
        let interval = Duration.milliseconds(console.isTerminal ? 250 : 5000)
        let lines: [String] = states.withLock { states in
            let now = ContinuousClock.now
            let isNew = states[index].step != step
            if isNew {
                states[index].step = step
                states[index].progress = ProgressLine()
            }
            guard now - states[index].shown >= interval || isNew && console.isTerminal else { return [] }
            states[index].shown = now
            let title = states[index].title
            let width = console.isTerminal ? console.width - title.count : .max
            let text = states[index].progress.line(step.rawValue, done: done, total: total, width: width)
            states[index].line = title + text
            return console.isTerminal ? states.compactMap(\.line) : [title + text]
        }
        guard !lines.isEmpty else { return }
        if console.isTerminal { console.status(lines) } else { lines.forEach { console.say($0) } }
    }

    /// Says what was made; the others go on.
    func finish(_ index: Int, _ result: ExportResult) {
        let lines = states.withLock { states in
            states[index].line = nil
            return states.compactMap(\.line)
        }
        console.say(Self.line(result))
        if !lines.isEmpty { console.status(lines) }
    }

    private static func line(_ result: ExportResult) -> String {
        let more = result.files.count > 1 ? " and \(result.files.count - 1) more" : ""
        let tenths = Int((result.seconds * 10).rounded())
        return "\(result.files.first ?? "")\(more)  \(result.form), \(ByteSize.describe(result.storedSize)) for "
            + "\(ByteSize.describe(result.size))  \(result.imageDigest)  read back, \(tenths / 10).\(tenths % 10) s"
    }
}
