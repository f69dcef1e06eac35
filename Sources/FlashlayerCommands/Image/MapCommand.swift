// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Digests
import DiskImages
import Model
import Synchronization

/// `flashlayer map`
struct MapCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "map",
        abstract: "Write the block map of an image: a digest for every 4 MiB of it.",
        usage: "flashlayer map <image> [-o <file>] [--force] [--json]",
        discussion: """
            Reads the image once. The map names every chunk, holes included, with its SHA-256; 'flashlayer write' and \
            'verify' find it beside the image and hold the image to it, and bmaptool reads it as well. By default it goes \
            where it is found: kiosk.raw.xz has kiosk.bmap. 'flashlayer build' makes one by itself.

              flashlayer map kiosk.raw
              flashlayer map kiosk.qcow2 -o - > elsewhere.bmap
            """
    )

    @Argument(
        help: "The image: all that 'flashlayer write' reads: a file, a URL, or '-' for standard input.",
        completion: .file()
    )
    var image: String

    @Option(
        name: [.short, .long],
        help: ArgumentHelp("Where the map goes; '-' is standard output. Default: beside the image.", valueName: "file"),
        completion: .file()
    )
    var output: String?

    @Flag(help: "Replace a file that is there.")
    var force = false

    @Flag(help: "Print what was found as JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    private struct Answer: Encodable {
        let path: String
        let size: UInt64
        let chunks: Int
        let imageDigest: ImageDigest
    }

    func validate() throws {
        guard image != StandardInput.name || output != nil else {
            throw ValidationError("standard input has no place beside it; name a file: -o FILE")
        }
        guard !(json && output == "-") else {
            throw ValidationError("--json and -o - both want standard output; name a file: -o FILE")
        }
    }

    func perform(_ console: Console) async throws {
        let location = image == StandardInput.name ? try StandardInput.location() : image
        let open = try await StandardInput.whileWhole { try await ImageReference(location, blockMap: .none).open() }
        guard let source = open.source else {
            throw FlashlayerError(.badImage, "\(image) is a block map, not an image", advice: "name the image")
        }
        let file = output == "-" ? nil : try OutputFile(output ?? place, replaces: force)
        if let file, file.isOne(of: open.files) {
            throw FlashlayerError(
                .cannotCreate,
                "\(file.path) is the image itself",
                advice: "name another file: -o FILE"
            )
        }
        let scan = try await StandardInput.whileWhole { try await self.scan(source, console) }
        guard let file else { return Console.answer(String(try scan.blockMap.xml().dropLast())) }
        try file.put(try scan.blockMap.xml())
        let answer = Answer(
            path: file.path,
            size: scan.size,
            chunks: scan.chunkDigests.count,
            imageDigest: try scan.imageDigest
        )
        if json { return Console.answer(try JSONText.of(answer)) }
        let chunks = answer.chunks == 1 ? "1 chunk" : "\(answer.chunks) chunks"
        console.say("\(file.path)  \(ByteSize.describe(scan.size)) in \(chunks)  \(answer.imageDigest)")
    }

    /// Beside the image; of a URL in the current folder.
    private var place: String {
        guard image.contains("://") else { return BlockMap.place(beside: image) }
        let name = image.prefix { !"?#".contains($0) }.split(separator: "/").last ?? "image"
        return BlockMap.place(beside: String(name))
    }

    private func scan(_ source: any ImageSource, _ console: Console) async throws -> ImageScan {
        let progress = Mutex((line: ProgressLine(), shown: ContinuousClock.now))
        // A status line is redrawn often; without a terminal a line now and then is enough.
        let interval = Duration.milliseconds(console.isTerminal ? 250 : 5000)
        let total = source.facts.size
        defer { console.clearStatus() }
        return try await ImageScan.scan(source, wholeDigest: false) { done in
            let line: String? = progress.withLock { progress in
                let now = ContinuousClock.now
                guard now - progress.shown >= interval else { return nil }
                progress.shown = now
                return progress.line.line("read", done: done, total: total)
            }
            guard let line else { return }
            if console.isTerminal { console.status(line) } else { console.say(line) }
        }
    }
}
