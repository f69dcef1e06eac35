// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import DiskImages
import Model

struct Write: Operation {
    static let configuration = CommandConfiguration(
        abstract: "Write an image to a disk and prove every byte.",
        usage: "flashlayer write <image> <target> [--yes] [--allow <code>] [<option> ...]",
        discussion: """
            The disk is checked first ('flashlayer devices --all' shows how), then you type its name. The image's content is \
            told by its first bytes, never by its name. Both ends of the disk are wiped first and written last, so \
            that an interrupted disk never looks like a good one. After the write everything is read back from the \
            medium, holes included. A write that was interrupted is done again by the same command.

              flashlayer write kiosk.qcow2 /dev/sdb
              flashlayer write kiosk.raw /dev/disk/by-id/usb-Vendor_Stick_1234 --yes
            """
    )

    @Argument(help: "The image: raw or qcow2.")
    var image: String

    @Argument(help: "The disk, such as /dev/sdb: a whole disk, not a partition.")
    var target: String

    @OptionGroup var flash: FlashOptions
    @OptionGroup var common: CommonOptions

    var emitsSummary: Bool { flash.engine.json }

    func perform(_ console: Console) async throws {
        let run = FlashRun(options: flash, console: console)
        _ = try flash.allowed()
        let source = try await ImageFormat.open(image)
        let disk = try await run.judge(target, image: source.facts, files: source.files)
        try run.confirm(disk)
        try await run.write(source.facts, to: disk)
    }
}
