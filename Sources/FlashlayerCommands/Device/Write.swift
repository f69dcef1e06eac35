// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import DiskImages
import Model

struct Write: Operation {
    static let configuration = CommandConfiguration(
        abstract: "Write an image to disks and prove every byte.",
        usage: "flashlayer write <image> <target> ... [--yes] [--allow <code>] [<option> ...]",
        discussion: """
            The disks are checked first ('flashlayer devices --all' shows how), then you type their names. The image's \
            content is told by its first bytes, never by its name. Both ends of a disk are wiped first and written last, \
            so that an interrupted disk never looks like a good one. After the write everything is read back from the \
            medium, holes included. On a disk larger than the image the backup of a GPT goes to the end of \
            the disk, and what is left of older tables and RAID members behind the image is cleared. A write that was \
            interrupted is done again by the same command, which goes on where \
            the disk already holds the image.

              flashlayer write kiosk.qcow2 /dev/sdb
              flashlayer write kiosk.raw.xz /dev/sdb /dev/sdc /dev/sdd --report kiosk.json
              flashlayer write kiosk.raw /dev/disk/by-id/usb-Vendor_Stick_1234 --yes
              flashlayer write kiosk.raw 'serial=4C53*,size=7G..33G' --wait 60
              ssh server cat kiosk.raw.zst | flashlayer write - /dev/sdb

            Up to 16 disks are written at once, each at its own pace; one that is refused stops all before anything is \
            written, one that fails later ends alone. 'null:' as a target takes the image and keeps nothing.

            A target is a path, a link below /dev/disk, or one argument of hints in quotes, which exactly one disk must \
            fit: name, model, vendor, serial, wwn, hctl, by_path, size, rotational, transport, removable, slot. Texts are \
            patterns, sizes have units (G is 2^30, GB is 10^9). OpenStack Ironic's root device hints are read as well.
            """
    )

    @Argument(help: "The image: a file, a URL, or '-' for standard input.", completion: .file())
    var image: String

    @Argument(help: TargetHelp.writing, completion: .file())
    var targets: [String]

    @OptionGroup var flash: FlashOptions
    @OptionGroup var source: ImageOptions
    @OptionGroup var common: CommonOptions

    var emitsSummary: Bool { flash.engine.json }

    func perform(_ console: Console) async throws {
        let allowed = try flash.allowed()
        let run = try FlashRun("write", targets: targets, flash.engine, console)
        try await run.accounted {
            let image = try await run.open(image, source)
            guard !image.isMapAlone else {
                throw FlashlayerError(
                    .usage,
                    "\(self.image) is a block map: it has the digests of an image, and no content",
                    advice: "name the image; its block map is found beside it, or given by --bmap"
                )
            }
            try await run.wait(upTo: flash.engine.wait)
            let targets = try await run.judge(
                image: image.facts,
                files: image.files,
                allowed: allowed,
                unmounts: flash.unmount
            )
            if !flash.yes { try run.confirm(targets) }
            let write = { (targets: [ChosenTarget]) in
                try await run.run(flash.job(image.reference, targets: targets.map(\.target)), image, targets)
            }
            let judge = {
                try await run.judge(image: image.facts, files: image.files, allowed: allowed, chosen: targets)
            }
            if flash.unmount { return try await run.unmounted(targets, judge: judge) { try await write($0) } }
            try await write(flash.yes ? targets : run.judgedAgain(targets, judge))
        }
    }
}
