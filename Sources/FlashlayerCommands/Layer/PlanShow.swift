// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Glibc
import ImageBuilder
import Layers
import Model
import Resolution

/// `flashlayer plan`
struct PlanShow: Operation {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show what a build would do, without doing any of it.",
        usage: "flashlayer plan [<project>] [--json] [<option> ...]",
        discussion: """
            Shows the layers in their order, each phase with its steps, what is cached, and which layer overrides which. \
            Every fault of the recipe and the layers is told, with file and line.

              flashlayer plan
              flashlayer plan examples/kiosk --json
              flashlayer plan --base debian-12.qcow2 --layer layers/base-tools layers/kiosk
            """
    )

    @Argument(
        help: ArgumentHelp("A folder with a flashlayer.toml, or such a file. Default: the current folder."),
        completion: .file()
    )
    var project: String?

    @OptionGroup var options: ProjectOptions

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        let cache = try Cache()
        let resolved = try await options.resolve(project, cache: cache, console: console)
        let states = try await PhaseState.all(of: resolved, in: cache)
        let report = try PlanReport(resolved.plan, states)
        // The console judges standard error; this goes to standard output, which may well be a file.
        let isPlain = isatty(1) == 0 && common.color != .always
        Console.answer(try json ? report.json() : report.text { isPlain ? $0 : console.style($0, $1) })
    }
}
