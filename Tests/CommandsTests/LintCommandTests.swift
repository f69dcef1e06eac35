// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import TestSupport
import Testing

@Suite("flashlayer lint")
struct LintCommandTests {
    private func project(recipe: String = "", list: String = "vim\n", extra: String? = nil) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write(
            "name = \"x\"\n\(recipe)\n[[layer]]\ntype = \"local\"\npath = \"layers/a\"\n",
            to: "flashlayer.toml"
        )
        try folder.write(list, to: "layers/a/packages/debs.txt")
        if let extra { try folder.write("", to: "layers/a/\(extra)") }
        return folder
    }

    @Test("the status tells the recipe's errors from those of layers, and warnings only with --strict")
    func status() async throws {
        for (folder, arguments, status) in [
            (try project(), ["--strict"], 0),
            (try project(extra: "enviroment"), [], 0),
            (try project(extra: "enviroment"), ["--strict"], 65),
            (try project(list: "X\n"), [], 65),
            (try project(recipe: "grow = true", list: "X\n"), [], 78),
        ] {
            let outcome = try await FlashlayerProgram.run(["lint", folder.path] + arguments)
            #expect(outcome.status == Int32(status), "\(outcome.output)\(outcome.errors)")
            #expect(outcome.errors.isEmpty == (status == 0))
        }
        #expect(try await FlashlayerProgram.run(["lint", "/nonexistent"]).status == 66)
    }

    @Test("a base image that is not there or cannot be had is the recipe's fault, with its line")
    func base() async throws {
        for image in ["nowhere.qcow2", "ftp://h/x.qcow2"] {
            let folder = try project(recipe: "[base]\nimage = \"\(image)\"", list: "X\n")
            let outcome = try await FlashlayerProgram.run(["lint", folder.path])
            #expect(outcome.status == 78, "\(outcome.errors)")
            #expect(outcome.output.contains("flashlayer.toml:"), "\(outcome.output)")
        }
        let folder = try project()
        let named = try await FlashlayerProgram.run([
            "lint", "--base", "/nonexistent", "--layer", folder.file("layers/a"),
        ])
        #expect(named.status == 66, "\(named.errors)")
    }

    @Test("what it would have no use for is no option of it", arguments: ["--locked", "--offline", "--set=A=1"])
    func options(option: String) async throws {
        let folder = try project()
        #expect(try await FlashlayerProgram.run(["lint", folder.path, option]).status == 64)
        let variant = try await FlashlayerProgram.run(["lint", folder.path, "--variant", "nope"])
        #expect(variant.status == 64 && variant.errors.contains("no variant 'nope'"), "\(variant.errors)")
    }

    @Test("each fault stands on a line that begins with its place, below it the hint, and at the end what was read")
    func text() async throws {
        let folder = try project(list: "vim\nX\n", extra: "enviroment")
        let outcome = try await FlashlayerProgram.run(["lint", folder.path])
        let layer = folder.file("layers/a")
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(lines.contains("\(layer)/packages/debs.txt:2: error: 'X' is not the name of a Debian package"))
        #expect(lines.contains("\(layer)/enviroment: warning: not read"))
        #expect(lines.contains("  did you mean environment? Rename it"))
        #expect(lines.last == "a: read packages/debs.txt")
        #expect(outcome.errors == "flashlayer: 1 error, 1 warning [bad-layer]")
        #expect(!outcome.output.contains("\u{1B}"))
    }

    @Test("--json has every fault with its place, and what was read")
    func json() async throws {
        let folder = try project(list: "X\n")
        let outcome = try await FlashlayerProgram.run(["lint", folder.path, "--json"])
        let answer = try #require(try JSONValue.array(of: "[\(outcome.output)]").first)
        #expect(answer["errors"]?.number == 1 && answer["warnings"]?.number == 0)
        guard case .array(let faults)? = answer["faults"], case .array(let layers)? = answer["layers"] else {
            Issue.record("\(outcome.output)")
            return
        }
        #expect(faults.first?["file"]?.text == folder.file("layers/a/packages/debs.txt"))
        #expect(faults.first?["line"]?.number == 1)
        #expect(faults.first?["severity"]?.text == "error" && faults.first?["code"]?.text == "bad-layer")
        #expect(layers.first?["read"] == .array([.string("packages/debs.txt")]))
    }

    @Test("the example has no fault")
    func example() async throws {
        let outcome = try await FlashlayerProgram.run(["lint", "\(Checkout.root)/examples/kiosk", "--strict"])
        #expect(outcome.status == 0, "\(outcome.output)")
    }
}
