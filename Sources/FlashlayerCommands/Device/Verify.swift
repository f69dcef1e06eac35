// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import DiskImages
import Flashing
import Model

struct Verify: Operation {
    static let configuration = CommandConfiguration(
        abstract: "Compare disks with an image, byte for byte, without writing.",
        usage: "flashlayer verify <image> <target> ... [<option> ...]",
        discussion: """
            Reads everything that the image covers back from the medium, holes included. Exit status 0 when all of it \
            is there, 74 when it is not. A disk that has been booted has changed: its file systems write. Where the \
            image is not at hand, its block map is enough; what that does not list is not looked at. On a \
            disk larger than the image the GPT's backup has to stand at the end of the disk, as 'flashlayer write' puts \
            it; --gpt keep compares with the image's table as it is. A disk that was grown or renamed (--grow, \
            --new-guids) is not the image any more.

              flashlayer verify kiosk.qcow2 /dev/sdb
              flashlayer verify kiosk.bmap /dev/sdb /dev/sdc
              flashlayer verify kiosk.qcow2 'transport=usb,model=*Ultra*'
            """
    )

    @Argument(help: "The image: a file, a URL, a block map, or '-' for standard input.", completion: .file())
    var image: String

    @Argument(help: TargetHelp.reading, completion: .file())
    var targets: [String]

    @OptionGroup var table: TableOptions
    @OptionGroup var engine: EngineOptions
    @OptionGroup var source: ImageOptions
    @OptionGroup var common: CommonOptions

    var emitsSummary: Bool { engine.json }

    func perform(_ console: Console) async throws {
        let run = try FlashRun("verify", targets: targets, engine, console)
        try await run.accounted {
            let image = try await run.open(image, source)
            try await run.wait(upTo: engine.wait)
            let targets = try await run.find()
            var job = FlashJob(mode: .verify, image: image.reference, targets: targets.map(\.target))
            job.timeout = engine.timeout
            job.table = table.gpt.value
            try await run.run(job, image, targets)
        }
    }
}
