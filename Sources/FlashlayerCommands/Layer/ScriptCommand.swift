// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageExport

/// `flashlayer script`
struct ScriptCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "script",
        abstract: "Write the layers as a shell script for machines that already run.",
        usage: "flashlayer script [<project>] <folder> [--force] [--json] [<option> ...]",
        discussion: """
            Makes the folder, and in it 'install.sh' and all that it lays down and runs: users, packages, files, environment \
            and scripts, in the order of a build. A machine needs no flashlayer, Packer or Python for it. What was done there \
            before is left alone; --dry-run says what would be done; the exit status says what went wrong.

              flashlayer script examples/kiosk kiosk-script
              flashlayer script --layer layers/kiosk -- kiosk-script

            Then, as root on the machine: sh kiosk-script/install.sh --dry-run, and without --dry-run.
            """
    )

    @OptionGroup var export: ExportOptions
    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        try await export.export(console) { plan, folder, replaces in
            try await ScriptBundle(plan).write(to: folder, replaces: replaces)
        }
    }
}
