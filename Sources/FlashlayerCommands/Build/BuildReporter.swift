// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ImageBuilder
import Layers

/// Shows a build on the console: a line for each phase that has ended, a status line while one runs.
enum BuildReporter {
    static func show(_ event: BuildEvent, on console: Console) {
        switch event {
        case .note(let text):
            console.say(text)
        case .warning(let text):
            console.warn(text)
        case .started(let phase):
            console.status(label(phase) + "...")
        case .cached(let phase):
            console.say(label(phase) + "cached")
        case .finished(let phase, let seconds):
            console.say(label(phase) + "\(Int(seconds.rounded())) s")
        case .activity(let text):
            if console.isTerminal { console.status(text) } else { console.detail(text) }
        case .output(let source, let line):
            let line = "\(source): \(line)"
            if console.verbosity > 0 { console.detail(line) } else { console.status(line) }
        }
    }

    private static func label(_ phase: Phase) -> String {
        phase.rawValue + String(repeating: " ", count: max(1, 10 - phase.rawValue.count))
    }
}
