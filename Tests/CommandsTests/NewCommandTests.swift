// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

@Suite("flashlayer new")
struct NewCommandTests {
    @Test("writes a project that can be planned, without a fault and without a network")
    func project() async throws {
        let folder = try TemporaryFolder()
        let place = folder.file("below/My Box")
        let made = try await FlashlayerProgram.run(["new", place])
        #expect(made.status == 0, "\(made.errors)")
        #expect(made.output == place + "\n")
        #expect(made.errors.contains("flashlayer plan '\(place)'"), "\(made.errors)")
        let cache = ["FLASHLAYER_CACHE": folder.file("cache")]
        let plan = try await FlashlayerProgram.run(["plan", place, "--json"], environment: cache)
        #expect(plan.status == 0, "\(plan.errors)")
        let json = try JSONDecoder().decode(JSONValue.self, from: Data(plan.output.utf8))
        #expect(json["name"]?.text == "my-box")
        guard case .array(let layers)? = json["layers"] else {
            Issue.record("it has layers")
            return
        }
        #expect(layers.map { $0["name"]?.text } == ["base", "hello"])
        let lint = try await FlashlayerProgram.run(["lint", place], environment: cache)
        #expect(lint.status == 0, "\(lint.output) \(lint.errors)")
        #expect(!(lint.output + lint.errors).contains("warning"), "\(lint.output) \(lint.errors)")
    }

    @Test(
        "gives the image a name that is a host's as well",
        arguments: [("kiosk", "kiosk"), ("Küche 2", "k-che-2"), ("--x--", "x"), ("...", "image"), ("-", "image")]
    )
    func names(folderName: String, name: String) async throws {
        let folder = try TemporaryFolder()
        let made = try await FlashlayerProgram.run(["new", folder.file(folderName)])
        #expect(made.status == 0, "\(made.errors)")
        let recipe = try String(contentsOfFile: folder.file("\(folderName)/flashlayer.toml"), encoding: .utf8)
        #expect(recipe.contains("\nname = \"\(name)\""), "\(folderName)")
        #expect(try await FlashlayerProgram.run(["plan", folder.file(folderName)]).status == 0)
    }

    @Test("refuses a folder that holds something, and names it")
    func notEmpty() async throws {
        let folder = try TemporaryFolder()
        try folder.write("mine\n", to: "full/notes.txt")
        let refused = try await FlashlayerProgram.run(["new", folder.file("full")])
        #expect(refused.status == 73)
        #expect(refused.errors.contains("\(folder.file("full")) is not empty: it holds notes.txt"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("full")) == ["notes.txt"])
        let file = try await FlashlayerProgram.run(["new", folder.file("full/notes.txt")])
        #expect(file.status == 73 && file.errors.contains("[cannot-create]"))
    }

    @Test("refuses a folder without a name, and writes nowhere")
    func noName() async throws {
        let refused = try await FlashlayerProgram.run(["new", ""])
        #expect(refused.status == 64 && refused.errors.contains("[usage]"), "\(refused.errors)")
        #expect(refused.output.isEmpty)
    }

    @Test(
        "names a folder so that the next commands take it for one",
        arguments: [("-dash", "./-dash"), ("--two words", "'./--two words'")]
    )
    func dash(name: String, shown: String) async throws {
        let folder = try TemporaryFolder()
        let made = try await FlashlayerProgram.script(
            "cd \"$1\" && \"$2\" new -- \"$3\" 2>&1",
            arguments: [folder.path, FlashlayerProgram.path, name]
        )
        #expect(made.status == 0, "\(made.output)")
        #expect(made.output.contains("  flashlayer plan \(shown)\n"), "\(made.output)")
        #expect(made.output.contains(" --project \(shown)\n"), "\(made.output)")
    }

    @Test("--force adds what is missing and replaces nothing, not even a link that leads nowhere")
    func force() async throws {
        let folder = try TemporaryFolder()
        try folder.write("mine\n", to: "full/README.md")
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("full/.gitignore"),
            withDestinationPath: folder.file("nowhere")
        )
        let made = try await FlashlayerProgram.run(["new", folder.file("full"), "--force"])
        #expect(made.status == 0, "\(made.errors)")
        #expect(made.errors.contains("full/README.md is there, and stays"))
        #expect(try String(contentsOfFile: folder.file("full/README.md"), encoding: .utf8) == "mine\n")
        #expect(!FileManager.default.fileExists(atPath: folder.file("nowhere")))
        #expect(FileManager.default.fileExists(atPath: folder.file("full/layers/hello/scripts/10-enable.sh")))
    }
}
