// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

@Suite("flashlayer map")
struct MapCommandTests {
    private let folder: TemporaryFolder
    private let image: String

    init() throws {
        folder = try TemporaryFolder()
        image = folder.file("kiosk.raw")
        try TestImage.create(image, size: (9 << 20) + 100, data: [0..<100_000, (8 << 20)..<(9 << 20)])
    }

    @Test("writes where it is found, says what it read, and bmaptool copies by it, holes included")
    func map() async throws {
        let outcome = try await FlashlayerProgram.run(["map", image, "--json"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.isEmpty)
        let answer = try JSONDecoder().decode(JSONValue.self, from: Data(outcome.output.utf8))
        #expect(answer["path"]?.text == folder.file("kiosk.bmap"))
        #expect(answer["size"]?.number == Double((9 << 20) + 100))
        #expect(answer["chunks"]?.number == 3)
        let oracle = try await Program("bash", debianPackage: "bash").run([
            "-c",
            "split --bytes=4M --filter='sha256sum | cut -c1-64' \"$1\" | perl -ne 'chomp; print pack \"H*\", $_' | sha256sum",
            "bash", image,
        ])
        #expect(answer["imageDigest"]?.text == "sha256-4m:" + oracle.prefix(64))

        // The copy is full of other bytes before: only what the map lists is written.
        let copy = folder.file("copy.raw")
        try TestImage.create(copy, size: (9 << 20) + 100, data: [0..<((9 << 20) + 100)], seed: 2)
        // Without --bmap: it finds the map by the image's name, as we do.
        try await Program("bmaptool", debianPackage: "bmap-tools").run(["copy", image, copy])
        #expect(try TestImage.bytes(of: copy) == TestImage.bytes(of: image))
    }

    @Test("-o - is standard output, and nothing else is there")
    func standardOutput() async throws {
        #expect(try await FlashlayerProgram.run(["map", image]).status == 0)
        let outcome = try await FlashlayerProgram.run(["map", image, "-o", "-"])
        #expect(outcome.errors.isEmpty)
        let file = try Data(contentsOf: URL(filePath: folder.file("kiosk.bmap")))
        #expect(Data(outcome.output.utf8) == file)
        let piped = try await FlashlayerProgram.script("cat \"$1\" | \"$flashlayer\" map - -o -", arguments: [image])
        #expect(piped.status == 0, "\(piped.errors)")
        #expect(Data(piped.output.utf8) == file, "an image that comes through a pipe is the same image")
    }

    @Test("a file that is there stays, unless it may be replaced; the image always stays")
    func existing() async throws {
        let other = try folder.write("mine", to: "kiosk.bmap")
        let refused = try await FlashlayerProgram.run(["map", image])
        #expect(refused.status == 73 && refused.errors.contains("--force"), "\(refused.errors)")
        #expect(try String(contentsOfFile: other, encoding: .utf8) == "mine")
        #expect(try await FlashlayerProgram.run(["map", image, "--force", "-q"]).status == 0)
        #expect(try String(contentsOfFile: other, encoding: .utf8).hasPrefix("<?xml"))

        let before = try TestImage.bytes(of: image)
        for arguments in [["-o", image], ["-o", image, "--force"], ["-o", "/dev/null", "--force"]] {
            #expect(try await FlashlayerProgram.run(["map", image] + arguments).status == 73)
        }
        #expect(try TestImage.bytes(of: image) == before)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 2, "nothing is left behind")
    }

    @Test("a map of a map is refused, and so is one of nothing")
    func wrong() async throws {
        #expect(try await FlashlayerProgram.run(["map", image]).status == 0)
        let again = try await FlashlayerProgram.run(["map", folder.file("kiosk.bmap")])
        #expect(again.status == 65 && again.errors.contains("is a block map"), "\(again.errors)")
        #expect(try await FlashlayerProgram.run(["map", folder.file("missing.raw")]).status == 66)
        #expect(try await FlashlayerProgram.run(["map", image, "--json", "-o", "-"]).status == 64)
        #expect(try await FlashlayerProgram.run(["map", "-"]).status == 64)
    }
}
