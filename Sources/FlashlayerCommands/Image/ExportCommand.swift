// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Digests
import FoundationEssentials
import ImageBuilder
import ImageExport
import Layers
import Model

/// `flashlayer export`
struct ExportCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Put an image into another format, and prove that it is the same image.",
        usage: "flashlayer export <image> <output> [--format <format>] [<option> ...]",
        discussion: """
            Formats: raw, qcow2, vdi, vmdk, vhdx, vpc (.vhd), ova and vagrant (.box), by the name of the output unless \
            --format says otherwise. The output is read back, and must have the size and the digest of the image; only \
            then does it get its name. A run that fails or is interrupted leaves what was there before.

              flashlayer export kiosk.qcow2 kiosk.vdi
              flashlayer export kiosk.qcow2 kiosk.vmdk --subformat streamOptimized
              flashlayer export kiosk.raw small.qcow2 --compress
              flashlayer export kiosk.qcow2 kiosk.ova --cpus 2 --memory 2G --firmware uefi

            An ova holds a compressed vmdk, its description (OVF 1.1) and a manifest with SHA-256. The machine that it \
            asks for is that of [vm] in the recipe: as the description NAME.json beside the image tells it, or with \
            --project the recipe itself; options go above both. 'flashlayer build --all' exports what 'outputs' in the \
            recipe names.
            """
    )

    @Argument(help: ArgumentHelp("A disk image file of any format.", valueName: "image"), completion: .file())
    var image: String

    @Argument(help: ArgumentHelp("The file that is made.", valueName: "output"), completion: .file())
    var output: String

    @Option(
        help: ArgumentHelp("The format. Default: what the name of the output says.", valueName: "format"),
        completion: .list(ExportFormat.allCases.map(\.rawValue))
    )
    var format: String?

    @Option(
        help: ArgumentHelp(
            "Of vmdk: monolithicSparse, streamOptimized or twoGbMaxExtentSparse; of vdi, vhdx and vpc: dynamic or fixed.",
            valueName: "subformat"
        ),
        completion: .list(ExportFormat.Subformat.allCases.map(\.rawValue))
    )
    var subformat: String?

    @Flag(help: "Compress the clusters of a qcow2.")
    var compress = false

    @Flag(help: "Replace a file that is there.")
    var force = false

    @Flag(help: "Compute the SHA-256 of the whole raw content, too, of the image and of the output.")
    var rawSha256 = false

    @Flag(help: "Print what was made as JSON.")
    var json = false

    @OptionGroup var hardware: HardwareOptions

    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        try Self.confirmLocal(image)
        let form = try ExportForm(try chosenFormat, subformat: subformat, compresses: compress)
        let machine = try hardware.settings(image: image, form: form)
        try ExportRun.confirmName(of: output, as: form)
        let file = try OutputFile(output, replaces: force)
        let run = ExportRun(
            image,
            to: file.path,
            as: form,
            replaces: force,
            hardware: machine,
            wholeDigest: rawSha256
        )
        let reporter = ExportReporter(console)
        let result: ExportResult
        do {
            defer { console.clearStatus() }
            result = try await run.run { reporter.show(0, $0, $1, $2) }
        }
        if json { return Console.answer(try JSONText.of(ExportAnswer(result))) }
        reporter.finish(0, result)
    }

    private var chosenFormat: ExportFormat {
        get throws {
            if let format {
                guard let known = ExportFormat(word: format) else {
                    throw FlashlayerError(
                        .usage,
                        "there is no format '\(format.printable)'",
                        advice: ExportForm.possible
                    )
                }
                return known
            }
            guard let named = ExportFormat(nameOf: output) else {
                throw FlashlayerError(
                    .usage,
                    "the name '\(output.printable)' says no format",
                    advice: "say --format: \(ExportForm.possible)"
                )
            }
            return named
        }
    }

    private static func confirmLocal(_ image: String) throws {
        if image == StandardInput.name {
            throw FlashlayerError(.usage, "an export reads an image file, not standard input", advice: "name the file")
        }
        if image.contains("://") {
            throw FlashlayerError(
                .usage,
                "an export reads an image file of this machine, not \(image.printable)",
                advice: "download it first: curl -fLO \(image.printable)"
            )
        }
    }
}

/// What `--json` prints of an export. The names of the properties are those of the JSON.
struct ExportAnswer: Encodable {
    let path: String
    let format: ExportFormat
    let subformat: ExportFormat.Subformat?
    let compressed: Bool
    /// The output, and behind it the parts that it refers to.
    let files: [String]
    /// Bytes that the files take.
    let storedSize: UInt64
    /// Of the disk, in bytes.
    let size: UInt64
    let imageDigest: ImageDigest
    let rawSha256: Digest?
    let seconds: Double

    init(_ result: ExportResult) {
        path = result.files.first ?? ""
        format = result.form.format
        subformat = result.form.subformat
        compressed = result.form.isCompressed
        files = result.files
        storedSize = result.storedSize
        size = result.size
        imageDigest = result.imageDigest
        rawSha256 = result.rawSha256
        seconds = result.seconds
    }
}
