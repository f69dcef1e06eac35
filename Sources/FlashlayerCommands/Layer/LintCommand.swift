// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Glibc
import Layers
import Model
import Resolution
import Threads

/// `flashlayer lint`
struct LintCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "lint",
        abstract: "Tell all that is wrong with a recipe and its layers, with file and line.",
        usage: "flashlayer lint [<project>] [--strict] [--json] [<option> ...]",
        discussion: """
            Reads the recipe with all its variants, and every layer, and tells all faults at once; below them stands what \
            was read of each layer. Errors keep an image from being built. Warnings are what may well not be meant: a file \
            that is not read because its name is misspelled, a private key, a script that is not executable. Nothing is \
            fetched and nothing is changed.

              flashlayer lint
              flashlayer lint examples/kiosk --strict
              flashlayer lint --layer layers/base-tools layers/kiosk --json

            Exit status: 78 if the recipe has errors, such as a base image that is not there, 65 if only layers have, \
            else 0. With --strict, warnings count as errors.
            """
    )

    @Argument(
        help: ArgumentHelp("A folder with a flashlayer.toml, or such a file. Default: the current folder."),
        completion: .file()
    )
    var project: String?

    @OptionGroup var place: ProjectPlace

    @Option(
        help: ArgumentHelp(
            "Look at this variant of the recipe alone, not at all of them and the recipe as it stands.",
            valueName: "name"
        )
    )
    var variant: String?

    @Flag(help: "Let warnings decide the exit status as well.")
    var strict = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        let report = LintReport(try await lint())
        // The console judges standard error; this goes to standard output, which may well be a file.
        let isPlain = isatty(1) == 0 && common.color != .always
        Console.answer(try json ? report.json() : report.text { isPlain ? $0 : console.style($0, $1) })
        if let failure = report.failure(strict: strict) { throw failure }
    }

    private func lint() async throws -> Lint {
        let layerPath = place.layerPath
        switch try place.project(project) {
        case .recipe(let path):
            let reading = try Lint.Reading(project: path, variant: variant)
            let fetched = try await ProjectResolver(cache: try Cache()).layersAtHand(of: reading.variants)
            return try await onAbandonableThread(named: "lint") {
                Lint(reading, layerPath: layerPath, fetched: fetched)
            }
        case .folders(let base, let layers):
            if let variant {
                throw FlashlayerError(
                    .usage,
                    "--variant \(variant.printable) names a variant of a recipe, and there is none"
                )
            }
            return try await onAbandonableThread(named: "lint") {
                Lint(base: base, layers: layers, layerPath: layerPath)
            }
        }
    }
}
