// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FoundationEssentials
import ImageBuilder
import ImageExport
import Layers
import Model
import Resolution

/// How an image is built: shared by `build` and `build-and-write`.
struct BuildOptions: ParsableArguments, Sendable {
    @Option(
        help: ArgumentHelp(
            "Carry out this phase again, although its result is at hand: base, packages, configs, scripts or finish.",
            valueName: "phase"
        )
    )
    var refresh: [Phase] = []

    @Option(
        name: .customLong("secret"),
        help: ArgumentHelp(
            "Let scripts read this file as $FLASHLAYER_SECRETS/NAME; nothing keeps it. May be given several times.",
            valueName: "name=file"
        )
    )
    var secrets: [String] = []

    /// - Throws: `usage`.
    func buildSecrets() throws -> [BuildSecret] {
        var seen: Set<String> = []
        return try secrets.map { text in
            let secret = try BuildSecret(text)
            guard seen.insert(secret.name).inserted else {
                throw FlashlayerError(
                    .usage,
                    "two secrets are called '\(secret.name)'",
                    advice: "give each a name of its own: --secret NAME=FILE"
                )
            }
            return secret
        }
    }

    @Flag(help: "Keep the disk of a build that fails, as NAME.failed.qcow2 beside the image.")
    var keepFailed = false
}

extension Phase: ExpressibleByArgument {}
extension ImageOutput.Format: ExpressibleByArgument {}

/// `flashlayer build`
struct Build: Operation {
    static let configuration = CommandConfiguration(
        commandName: "build",
        abstract: "Build an image from a recipe, or from a base image and layers.",
        usage: "flashlayer build [<project>] [-o <file>] [--format <format>] [--all] [<option> ...]",
        discussion: """
            Makes NAME.qcow2 in the current folder, and beside it the block map NAME.bmap, the description NAME.json, \
            the inventory NAME.spdx.json and the log NAME.log. NAME is the name that the recipe gives. A file that is \
            there already is replaced when the new one is complete.

              flashlayer build examples/kiosk
              flashlayer build --base debian-12.qcow2 --layer layers/kiosk -o kiosk.raw

              flashlayer build --variant lab --set SITE=lobby --secret token=token.txt

            With --all, what 'outputs' in the recipe names is made of the image, too, beside it, each read back as by \
            'flashlayer export': NAME.vdi, NAME.vmdk and so on; of the layers, NAME-packer and NAME-script.

              flashlayer build --all

            What was resolved (git commits, package versions, digests) is pinned in flashlayer.lock beside the recipe; \
            later builds obey it, 'flashlayer update' renews it. Results of phases are kept in the cache: a build goes \
            on from the last one that still holds. The disk of one that fails is thrown away, or kept with --keep-failed.

            The first build of a recipe without a base image installs a Debian, which takes a minute or two; later ones \
            start from that. Root is not needed: 'flashlayer doctor' says what is.
            """
    )

    @Argument(
        help: ArgumentHelp("A folder with a flashlayer.toml, or such a file. Default: the current folder."),
        completion: .file()
    )
    var project: String?

    @OptionGroup var options: ProjectOptions

    @Option(name: [.short, .long], help: ArgumentHelp("Where the image goes.", valueName: "file"), completion: .file())
    var output: String?

    @Option(help: "The image's format: qcow2 or raw. Default: what the name of the file says, else qcow2.")
    var format: ImageOutput.Format?

    @Flag(help: "Make what 'outputs' in the recipe names as well.")
    var all = false

    @OptionGroup var build: BuildOptions

    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        let cache = try Cache()
        let secrets = try build.buildSecrets()
        let format = try format ?? Self.format(of: output)
        let resolved = try await options.resolve(project, cache: cache, console: console)
        var output = Self.place(output, format: format, name: resolved.plan.outputName)
        let exports = try all ? Exports(resolved.plan, beside: output) : nil
        output.exports = exports?.paths ?? []
        output.folders = exports?.folderPaths ?? []
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
        try await exports?.make(of: result, console)
        for path in [result.image] + (exports?.all ?? []) { Console.answer(path) }
    }

    /// The current folder, unless the user says otherwise.
    static func place(_ output: String?, format: ImageOutput.Format, name: String) -> ImageOutput {
        ImageOutput(path: output ?? "\(name).\(format.rawValue)", format: format)
    }

    /// Endings that say what is not made here: a qcow2 of such a name would mislead all who open it.
    private static let otherEndings: Set = [
        "vmdk", "vdi", "vhd", "vhdx", "vpc", "qcow", "qed", "ova", "ovf", "iso", "wic", "gz", "xz", "zst", "bz2", "lz4",
        "zip", "tar", "tgz",
    ]

    /// What the name of a file says.
    ///
    /// - Throws: `usage` when that is a format which is not made here.
    static func format(of output: String?) throws -> ImageOutput.Format {
        let name = output?.split(separator: "/").last ?? ""
        let ending = name.lastIndex(of: ".").map { name[$0...].dropFirst().lowercased() } ?? ""
        if otherEndings.contains(ending) {
            let known = ImageOutput.Format.allCases.map(\.rawValue).joined(separator: " or ")
            throw FlashlayerError(
                .usage,
                "\(output?.printable ?? "") would be no \(ending): the image is made as \(known)",
                advice: "name it .qcow2, .raw or .img, and convert it afterwards with 'flashlayer export'; "
                    + "or say --format, which holds whatever the name"
            )
        }
        return ending == "raw" || ending == "img" ? .raw : .qcow2
    }
}
