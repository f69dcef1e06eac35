// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageExport

/// `flashlayer packer`
struct PackerCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "packer",
        abstract: "Write the layers as a Packer template, which runs them on a base image.",
        usage: "flashlayer packer [<project>] <folder> [--force] [--json] [<option> ...]",
        discussion: """
            Makes the folder, and in it NAME.pkr.hcl for Packer 1.6 and later, plugins.pkr.hcl for 'packer init' of 1.7 and \
            later, the layers in payload.tar, and a README that says how to run it. The base of the recipe is not in it: \
            Packer is told its own by -var base_image=FILE.

              flashlayer packer examples/kiosk kiosk-packer
              packer build -only=qemu.image -var base_image=debian-12.qcow2 kiosk-packer/kiosk.pkr.hcl
            """
    )

    @OptionGroup var export: ExportOptions
    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        try await export.export(console) { plan, folder, replaces in
            try await PackerExport(plan).write(to: folder, replaces: replaces)
        }
    }
}
