// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import DiskImages
import Flashing
import Model

struct Verify: Operation {
    static let configuration = CommandConfiguration(
        abstract: "Compare a disk with an image, byte for byte, without writing.",
        usage: "flashlayer verify <image> <target> [<option> ...]",
        discussion: """
            Reads everything that the image covers back from the medium, holes included. Exit status 0 when all of it \
            is there, 74 when it is not. A disk that has been booted has changed: its file systems write.

              flashlayer verify kiosk.qcow2 /dev/sdb
            """
    )

    @Argument(help: "The image: raw or qcow2.")
    var image: String

    @Argument(help: "The disk, such as /dev/sdb.")
    var target: String

    @OptionGroup var engine: EngineOptions
    @OptionGroup var common: CommonOptions

    var emitsSummary: Bool { engine.json }

    func perform(_ console: Console) async throws {
        let source = try await ImageFormat.open(image)
        let disk = try await FlashRun.find(target, json: engine.json)
        var job = FlashJob(mode: .verify, image: ImageReference(image), targets: [.device(disk.identity)])
        job.timeout = engine.timeout
        let result = try await FlashRun.run(job, source.facts, disk, json: engine.json, console)
        let digest = result.imageDigest.map { ", \($0)" } ?? ""
        console.say(console.style("\(disk.path) holds \(image)", .green) + digest)
    }
}
