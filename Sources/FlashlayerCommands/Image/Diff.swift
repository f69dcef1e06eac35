// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageBuilder
import Layers
import Model
import Resolution

/// `flashlayer diff`
struct Diff: Operation {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Say how two images differ: packages, files, environment.",
        usage: "flashlayer diff <image> <image> [--json] [--expect-same]",
        discussion: """
            Reads what is really in both, of any format that QEMU knows, in the appliance: packages with their versions, \
            the variables of /etc/environment, and every file with its type, content, mode, owner and attributes; times do \
            not count. Images of the same bytes are told without a launch. Neither image is changed.

              flashlayer diff kiosk-1.0.qcow2 kiosk-1.1.qcow2
              flashlayer diff old.vmdk new.raw --json

            The status is 0 whether they differ or not; with --expect-same it is 65 if they do.
            """
    )

    @Argument(help: ArgumentHelp("A disk image file, or a block device.", valueName: "image"))
    var before: String

    @Argument(help: ArgumentHelp("The one that it is compared with.", valueName: "image"))
    var after: String

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "End with status 65 if anything differs.")
    var expectSame = false

    @OptionGroup var common: CommonOptions

    private struct Answer: Encodable {
        let identical: Bool
        let packages, environment: [ContentDifference.Change]
        let files: [ContentDifference.FileChange]
    }

    func perform(_ console: Console) async throws {
        let comparison = ImageComparison(before: before, after: after)
        let cache = try Cache()
        let outcome = try await BuildReporter.showing(on: console) { observer in
            try await comparison.run(cache: cache, observer: observer)
        }
        console.clearStatus()
        let difference = outcome.difference
        if json {
            let answer = Answer(
                identical: outcome.isIdentical,
                packages: difference.packages,
                environment: difference.environment,
                files: difference.files
            )
            Console.answer(try JSONText.of(answer))
        } else if outcome.isIdentical {
            console.say("every byte is the same")
        } else if difference.isEmpty {
            console.say("packages, files and environment are the same")
        } else {
            Console.answer(DiffText(difference).text)
        }
        if expectSame, !difference.isEmpty {
            throw FlashlayerError(.imagesDiffer, "\(before) and \(after) differ: \(DiffText(difference).summary)")
        }
    }
}

/// Differences, for a person: `-` is in the first image only, `+` in the second only, `!` in both and not the same.
private struct DiffText {
    let difference: ContentDifference

    init(_ difference: ContentDifference) {
        self.difference = difference
    }

    var summary: String {
        let counts = [
            (difference.packages.count, "package"), (difference.environment.count, "variable"),
            (difference.files.count, "file"),
        ]
        return counts.filter { $0.0 > 0 }.map { "\($0) \($1)\($0 == 1 ? "" : "s")" }.joined(separator: ", ")
    }

    var text: String {
        var lines: [String] = []
        lines += section("Packages", difference.packages, " ")
        lines += section("Environment", difference.environment, "=")
        if !difference.files.isEmpty { lines.append("Files") }
        lines += difference.files.map { file in
            switch (file.before, file.after) {
            case (nil, _): "  + \(file.path)"
            case (_, nil): "  - \(file.path)"
            default: "  ! \(file.path)  \(file.changes.map { Self.change($0, file) }.joined(separator: ", "))"
            }
        }
        return lines.map(\.printable).joined(separator: "\n")
    }

    private func section(_ title: String, _ changes: [ContentDifference.Change], _ separator: String) -> [String] {
        guard !changes.isEmpty else { return [] }
        return [title]
            + changes.map { change in
                switch (change.before, change.after) {
                case (nil, let after?): "  + \(change.name)\(separator)\(after)"
                case (let before?, nil): "  - \(change.name)\(separator)\(before)"
                case (let before, let after): "  ! \(change.name)\(separator)\(before ?? "") -> \(after ?? "")"
                }
            }
    }

    private static func change(_ what: String, _ file: ContentDifference.FileChange) -> String {
        guard let before = file.before, let after = file.after else { return what }
        switch what {
        case "mode": return "mode \(String(before.mode, radix: 8)) -> \(String(after.mode, radix: 8))"
        case "owner": return "owner \(before.user):\(before.group) -> \(after.user):\(after.group)"
        case "link": return "link \(before.content ?? "") -> \(after.content ?? "")"
        case "type": return "type \(before.type) -> \(after.type)"
        default: return what
        }
    }
}
