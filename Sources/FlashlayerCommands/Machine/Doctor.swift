// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FoundationEssentials
import Glibc
import ImageBuilder
import Model
import Resolution

/// `flashlayer doctor`
struct Doctor: Operation {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this machine lacks, with the command that mends it.",
        usage: "flashlayer doctor [--full] [--json] [<option> ...]",
        discussion: """
            Looks at what building, testing and writing need, for the user who asks: a build without root needs more \
            than one with it. Nothing is changed. A problem is what keeps the main job from being done, and ends the \
            program with status 69; a note is what works less well, or one feature that is not there.

              flashlayer doctor
              flashlayer doctor --full --json
            """
    )

    @Flag(help: "Start the appliance as well, as a build would: about 15 seconds.")
    var full = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    private struct Report: Encodable {
        let ready: Bool
        let user: String
        let checks: [HostCheckResult]
    }

    func perform(_ console: Console) async throws {
        let host = HostView()
        var results: [HostCheckResult] = []
        for check in HostCheck.table + (full ? [HostCheck.launch(in: try Cache())] : []) {
            console.status("looking at \(check.name)")
            results.append(await check.result(on: host))
            try Task.checkCancellation()
        }
        console.clearStatus()
        let problems = results.filter { $0.state == .problem }
        if json {
            Console.answer(try Self.json(Report(ready: problems.isEmpty, user: host.userName, checks: results)))
        } else {
            let isPlain = isatty(1) == 0 && common.color != .always
            Console.answer(Self.text(results) { isPlain ? $0 : console.style($0, $1) })
        }
        guard let problem = problems.first else { return }
        let names = problems.map(\.name).joined(separator: ", ")
        throw FlashlayerError(
            .unavailable,
            problems.count == 1 ? problem.evidence : "\(problems.count) things are missing: \(names)",
            advice: problems.count == 1 ? problem.remedy : "the command behind each one mends it"
        )
    }

    private static func json(_ report: Report) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(report), as: UTF8.self)
        } catch {
            throw FlashlayerError(.fault, "cannot print the result: \(error)")
        }
    }

    private static func text(
        _ results: [HostCheckResult],
        _ style: (String, Console.Style) -> String
    ) -> String {
        let width = results.map(\.name.count).max() ?? 0
        return results.flatMap { result in
            let color: Console.Style =
                switch result.state {
                case .ok: .green
                case .note: .yellow
                case .problem: .red
                }
            let state = style(result.state.rawValue.padding(to: "problem".count), color)
            let line = "\(state)  \(result.name.padding(to: width))  \(Printable.line(result.evidence))"
            let indent = String(repeating: " ", count: "problem".count + width + 4)
            return [line] + (result.remedy.map { ["\(indent)-> \(Printable.line($0))"] } ?? [])
        }.joined(separator: "\n")
    }
}
