// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import DiskImages
import ImageBuilder
import Layers
import Model
import Resolution

/// `flashlayer build-and-write`: the main job.
struct BuildAndWrite: Operation {
    static let configuration = CommandConfiguration(
        commandName: "build-and-write",
        abstract: "Build an image and write it to disks, proving every byte: the main job.",
        usage: "flashlayer build-and-write <target> ... [--project <folder>] [--yes] [<option> ...]",
        discussion: """
            The disks are checked and you type their names before the build starts, so that nothing waits for you \
            afterwards. When the image is ready, they must still be those that you chose; then they are written and \
            read back as by 'flashlayer write'. The image stays in the current folder, as 'flashlayer build' leaves it.

              flashlayer build-and-write /dev/sdb --project examples/kiosk
              flashlayer build-and-write /dev/loop0 --allow virtual --yes
              flashlayer build-and-write 'serial=4C53*' --wait 60
            """
    )

    @Argument(help: TargetHelp.writing, completion: .file())
    var targets: [String]

    @Option(
        help: ArgumentHelp("A folder with a flashlayer.toml, or such a file. Default: here.", valueName: "folder"),
        completion: .file()
    )
    var project: String?

    @OptionGroup var recipe: ProjectOptions

    @Option(name: [.short, .long], help: ArgumentHelp("Where the image goes.", valueName: "file"), completion: .file())
    var output: String?

    @Option(help: "The image's format: qcow2 or raw. Default: what the name of the file says, else qcow2.")
    var format: ImageOutput.Format?

    @OptionGroup var build: BuildOptions
    @OptionGroup var flash: FlashOptions
    @OptionGroup var common: CommonOptions

    var emitsSummary: Bool { flash.engine.json }

    func perform(_ console: Console) async throws {
        let allowed = try flash.allowed()
        let run = try FlashRun("build-and-write", targets: targets, flash.engine, console)
        try await run.accounted { try await perform(run, allowed, console) }
    }

    private func perform(_ run: FlashRun, _ allowed: Set<ErrorCode>, _ console: Console) async throws {
        let cache = try Cache()
        let secrets = try build.buildSecrets()
        let format = try format ?? Build.format(of: output)
        let resolved = try await recipe.resolve(project, cache: cache, console: console)
        let plan = resolved.plan
        let output = Build.place(output, format: format, name: plan.outputName)
        let files = [output.path, cache.path] + plan.baseFiles

        try await run.wait(upTo: flash.engine.wait)
        let chosen = try await run.judge(
            expectedSize: try await expectedSize(plan),
            files: files,
            allowed: allowed,
            unmounts: flash.unmount
        )
        if !flash.yes { try run.confirm(chosen) }

        let imageBuild = ImageBuild(
            resolved,
            output: output,
            cache: cache,
            refresh: Set(build.refresh),
            secrets: secrets,
            keepsFailed: build.keepFailed
        )
        let result = try await BuildReporter.showing(on: console) { try await imageBuild.run(observer: $0) }
        console.clearStatus()
        console.say("\(result.image)  \(ByteSize.describe(result.size))  \(result.imageDigest)")

        let image = try await run.open(result.image)
        // The disks of the choice, and not whatever hints would fit by now.
        let targets = try await run.judge(
            image: image.facts,
            files: files + image.files,
            allowed: allowed,
            unmounts: flash.unmount,
            chosen: chosen
        )
        for (before, now) in zip(chosen, targets) where before.target != now.target {
            throw FlashlayerError(
                .changed,
                "\(before.path) is not the disk any more that was chosen before the build",
                advice: "nothing was written; choose again: flashlayer write \(result.image) \(before.path)"
            )
        }
        let write = { (targets: [ChosenTarget]) in
            let job = flash.job(image.reference, targets: targets.map(\.target))
            try await run.run(job, image, targets, expecting: result.imageDigest)
        }
        guard flash.unmount else { return try await write(targets) }
        try await run.unmounted(targets) {
            try await run.judge(image: image.facts, files: files + image.files, allowed: allowed, chosen: targets)
        } _: {
            try await write($0)
        }
    }

    /// Bytes of the image that will be built; a base image that is not enlarged keeps its size.
    private func expectedSize(_ plan: Plan) async throws -> UInt64 {
        switch plan.base {
        case .bootstrap: plan.image.bootstrapSize
        case .image(let path, _): max(plan.image.size ?? 0, try await ImageFormat.openLocal(path).size)
        }
    }
}

extension Plan {
    /// Files that the build reads and that the target must not hold.
    fileprivate var baseFiles: [String] {
        switch base {
        case .bootstrap: layers.map(\.path)
        case .image(let path, _): [path] + layers.map(\.path)
        }
    }
}
