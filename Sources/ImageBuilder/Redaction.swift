// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import FoundationEssentials
import Glibc
import Layers
import Model
import Resolution

/// Keeps secrets out of what is logged and shown: wherever a line holds one, or a line of one, stars stand for it.
struct Redaction: Sendable {
    private let words: [String]

    static let none = Redaction(words: [])

    private init(words: [String]) {
        self.words = words
    }

    /// - Throws: `not-found` when a secret's file cannot be read: better now than when its script runs.
    init(_ secrets: [BuildSecret]) throws {
        var words: Set<String> = []
        for secret in secrets {
            var status = stat()
            // A pipe could be read once, and is read twice: here and by the worker.
            if unsafe stat(secret.path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
                throw FlashlayerError(
                    .usage,
                    "the secret \(secret.name) comes from \(secret.path.printable), which is no file",
                    advice: "put it into a file, in memory if you like: /dev/shm"
                )
            }
            guard let data = FileManager.default.contents(atPath: secret.path) else {
                throw FlashlayerError(
                    .notFound,
                    "the secret \(secret.name) cannot be read from \(secret.path.printable)",
                    advice: "--secret NAME=FILE names a file of this machine"
                )
            }
            let text = String(decoding: data, as: UTF8.self)
            let lines = text.split(whereSeparator: \.isNewline).map { String($0) }
            // Printed with the blanks at its ends or without. What is shorter is found everywhere, and tells nothing.
            let trimmed = lines.map {
                String($0.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
            }
            words.formUnion((lines + trimmed).filter { $0.utf8.count >= 4 })
        }
        self.words = words.sorted { ($0.utf8.count, $0) > ($1.utf8.count, $1) }
    }

    func apply(to text: String) -> String {
        words.reduce(text) { $0.replacing($1, with: "***") }
    }

    func apply(to error: FlashlayerError) -> FlashlayerError {
        guard !words.isEmpty else { return error }
        return FlashlayerError(
            error.code,
            apply(to: error.message),
            advice: error.advice.map { apply(to: $0) },
            offset: error.offset
        )
    }

    func apply(to event: BuildEvent) -> BuildEvent {
        guard !words.isEmpty else { return event }
        return switch event {
        case .note(let text): .note(apply(to: text))
        case .warning(let text): .warning(apply(to: text))
        case .activity(let text): .activity(apply(to: text))
        case .output(let source, let line): .output(source: source, line: apply(to: line))
        case .started, .due, .cached, .finished: event
        }
    }
}
