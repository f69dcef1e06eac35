// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageExport
import Layers
import Model
import Resolution

/// What the commands that export a project as a folder have in common.
struct ExportOptions: ParsableArguments, Sendable {
    @Argument(
        help: ArgumentHelp(
            "A folder with a flashlayer.toml, or such a file; default: the current folder. Last: the folder to make.",
            valueName: "[project] folder"
        ),
        completion: .file()
    )
    var places: [String] = []

    @OptionGroup var options: ProjectOptions

    @Flag(help: "Replace an earlier export that is in the folder.")
    var force = false

    @Flag(help: "Print JSON: what was written.")
    var json = false

    func validate() throws {
        guard (1...2).contains(places.count), places.last != "" else {
            throw ValidationError("name the folder to make, and before it the project if it is not the current folder")
        }
    }

    /// - Parameter write: makes the folder.
    func export(
        _ console: Console,
        _ write: (_ plan: Plan, _ folder: String, _ replaces: Bool) async throws -> ExportReport
    ) async throws {
        let project = places.count == 2 ? places[0] : nil
        let resolved = try await options.resolve(project, cache: try Cache(), console: console, needsBase: false)
        let report = try await write(resolved.plan, places[places.count - 1], force)
        console.say("\(ShownPath.of(report.folder).printable)  \(report.summary)")
        Console.answer(try json ? JSONText.of(report) : ShownPath.of(report.folder))
    }
}

extension ExportReport {
    /// How much it is, and of what.
    var summary: String {
        let size = files.reduce(0) { $0 + $1.size }
        return "\(files.count) files, \(ByteSize.describe(size)): " + parts.map(\.name).joined(separator: ", ")
    }
}
