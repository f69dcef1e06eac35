// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Layers
import Model
import TestSupport
import Testing

@Suite("Lint")
struct LintTests {
    let scratch: TemporaryFolder

    init() throws {
        scratch = try TemporaryFolder()
    }

    private func lint() throws -> Lint {
        Lint(try Lint.Reading(project: scratch.path), layerPath: [], fetched: Fetched())
    }

    /// `FILE:LINE severity`, files from the project's folder.
    private func places(_ lint: Lint) -> [String] {
        lint.faults.map { fault in
            let file = fault.file.map { String($0.dropFirst(scratch.path.count + 1)) } ?? ""
            return "\(file):\(fault.line.map { "\($0)" } ?? "") \(fault.severity.rawValue)"
        }
    }

    private func recipe(_ layers: String...) throws {
        let entries = layers.map { "[[layer]]\ntype = \"local\"\npath = \"layers/\($0)\"\n" }
        try scratch.write("flashlayer.toml", "name = \"x\"\n" + entries.joined())
    }

    private func hint(_ lint: Lint, of file: String) -> String? {
        lint.faults.first { $0.file?.hasSuffix(file) == true }?.hint
    }

    @Test("all faults of the recipe and of every layer are told at once, each with its place")
    func everything() throws {
        try scratch.write(
            "flashlayer.toml",
            """
            name = "x"
            [image]
            szie = "2G"
            grow = "yes"
            [[layer]]
            type = "local"
            path = "layers/a"
            [[layer]]
            type = "local"
            path = "layers/nowhere"
            [[layer]]
            type = "local"
            path = "layers/a"
            [variant.v]
            [[variant.v.layer]]
            type = "local"
            path = "layers/only-v"
            """
        )
        try scratch.write("layers/a/packages/debs.txt", "vim\nCURL\n-x=1\n")
        try scratch.write("layers/a/packages/python.txt", "-r x\n")
        try scratch.write("layers/a/environment", "A=1\nB\n")
        try scratch.write("layers/a/layer-dependencies", "b\nmissing\n")
        try scratch.write("layers/a/owners", "etc/motd\netc/none 0:0\n")
        try scratch.write("layers/a/configs/etc/motd", "")
        try #require(unsafe mkfifo(scratch("layers/a/configs/p"), 0o600) == 0)
        try scratch.write("layers/a/scripts/1", "#!/bin/sh\r\n", mode: 0o755)
        try scratch.write("layers/a/scripts/2", "echo\n", mode: 0o755)
        try scratch.write("layers/b/layer-dependencies", "a\n")
        try scratch.write("layers/only-v/scripts/1", "x", mode: 0o755)
        let found = places(try lint())
        for place in [
            "flashlayer.toml:3", "flashlayer.toml:4", "flashlayer.toml:8", "flashlayer.toml:11",
            "layers/a/packages/debs.txt:2", "layers/a/packages/debs.txt:3", "layers/a/packages/python.txt:1",
            "layers/a/environment:2", "layers/a/layer-dependencies:2", "layers/a/owners:1", "layers/a/owners:2",
            "layers/a/configs/p:", "layers/a/scripts/1:1", "layers/a/scripts/2:1", "layers/only-v/scripts/1:1",
        ] {
            #expect(found.filter { $0 == "\(place) error" }.count == 1, "\(place): \(found)")
        }
        let cycle = try #require(try lint().faults.first { $0.code == .layerCycle })
        #expect(cycle.message.contains("a -> b -> a"))
        #expect(cycle.file == scratch("layers/b/layer-dependencies") && cycle.line == 1)
        // And the plan says the same, all at once.
        let message = failure(.badRecipe) { _ = try scratch.plan() }
        #expect(message.contains("flashlayer.toml:3: ") && message.contains("flashlayer.toml:4: "))
        let layers = failure(.badLayer) { _ = try Plan(.folders(base: nil, layers: [scratch("layers/a")])) }
        for place in [
            "debs.txt:2: ", "debs.txt:3: ", "environment:2: ", "owners:2: ", "configs/p: a pipe", "scripts/2:1: ",
        ] {
            #expect(layers.contains(place), "\(layers)")
        }
    }

    @Test(
        "what is not read because of its name is told with the name that is meant",
        arguments: [
            ("enviroment", "environment"), ("Environment", "environment"), ("env", "environment"),
            ("depencencies", "layer-dependencies"), ("layer-depencencies", "layer-dependencies"),
            ("layer_dependencies", "layer-dependencies"), ("owner", "owners"), ("script/10-x", "scripts/"),
            ("Scripts/10-x", "scripts/"), ("config/etc/motd", "configs/"), ("package/debs.txt", "packages/"),
            ("package-list/x", "package-lists/"), ("packages/deb.txt", "packages/debs.txt"),
            ("packages/apt.txt", "packages/debs.txt"), ("packages/requirements.txt", "packages/python.txt"),
            ("packages/dnf.txt", "packages/rpms.txt"), ("packages/pythn.txt", "packages/python.txt"),
            ("packages/deb-requirements.txt", "package-lists/deb-requirements.txt"),
            ("packages/other.txt", "packages/"),
            ("package-lists/debs.txt", "packages/debs.txt"),
        ]
    )
    func nearMisses(path: String, meant: String) throws {
        try recipe("a")
        try scratch.write("layers/a/layer-dependencies", "")
        try scratch.write("layers/a/\(path)", "")
        let found = try lint()
        let parts = path.split(separator: "/")
        let told = ["packages", "package-lists"].contains(parts[0]) ? path : String(parts[0])
        #expect(places(found) == ["layers/a/\(told): warning"])
        #expect(found.faults.first?.hint?.contains(meant) == true, "\(found.faults)")
        #expect(throws: Never.self) { try scratch.plan() }
    }

    @Test("what has nothing to do with layers is left alone")
    func strangers() throws {
        try recipe("a")
        try scratch.write("layers/a/configs/etc/enviroment", "")
        for name in [
            "README.md", "LICENSE", "Makefile", "docs/x", "tests/x", ".git/HEAD", ".gitignore", "packages/README.md",
            "assets/x", "packages/.keep", "screenshots/x",
        ] {
            try scratch.write("layers/a/\(name)", "")
        }
        #expect(try lint().faults.isEmpty)
    }

    @Test("every spelling that was read is told as read")
    func readings() throws {
        try recipe("a")
        for file in ["envionrment", "package-lists/dep-requirements.txt", "packages/debs.txt"] {
            try scratch.write("layers/a/\(file)", "")
        }
        try scratch.write("layers/a/scripts/1", "#!/bin/sh\n", mode: 0o755)
        let layer = try #require(try lint().layers.first)
        #expect(layer.name == "a")
        #expect(layer.read == ["packages/debs.txt", "package-lists/dep-requirements.txt", "envionrment", "scripts/"])
    }

    @Test("a script without the executable bit, a repeated name and a name both wanted and unwanted are warnings")
    func warnings() throws {
        try recipe("a")
        try scratch.write("layers/a/scripts/1", "#!/bin/sh\n", mode: 0o644)
        try scratch.write("layers/a/packages/debs.txt", "vim\nnano vim\n")
        try scratch.write("layers/a/packages/dpms.txt", "-nano\nvim")
        try scratch.write("layers/a/environment", "A=1\nB=1\nA=2\n")
        try scratch.write("layers/a/layer-dependencies", "b\nb\n")
        try scratch.write("layers/b/environment", "")
        let expected = [
            "layers/a/layer-dependencies:2", "layers/a/scripts/1:", "layers/a/packages/debs.txt:2",
            "layers/a/packages/dpms.txt:2", "layers/a/packages/dpms.txt:1", "layers/a/environment:3",
        ]
        #expect(places(try lint()) == expected.map { "\($0) warning" })
        #expect(try scratch.plan().environment.map(\.value) == ["2", "1"])
    }

    @Test("a package with and without a version is named twice, and a list that is not UTF-8 has its place")
    func lists() throws {
        try recipe("a")
        try scratch.write("layers/a/packages/debs.txt", "curl\ncurl=7.88*\nlibc6\nlibc6:arm64\n-nano\nnano=1\n")
        try scratch.write("layers/a/packages/rpms.txt", [0x63, 0xFF, 0x0A])
        #expect(
            places(try lint()) == [
                "layers/a/packages/debs.txt:2 warning", "layers/a/packages/debs.txt:5 warning",
                "layers/a/packages/rpms.txt: error",
            ]
        )
        #expect(failure(.badLayer) { _ = try scratch.plan() }.contains("rpms.txt: not a text file in UTF-8"))
    }

    @Test("what a layer takes out of those before it, or brings back, is told, and the later one holds")
    func acrossLayers() throws {
        try recipe("a", "b", "c")
        try scratch.write("layers/a/packages/debs.txt", "nano=1\nvim\n-less\n")
        try scratch.write("layers/b/packages/debs.txt", "-nano\n-vim\nless\n")
        try scratch.write("layers/c/packages/debs.txt", "jq\nvim\n")
        try scratch.write("layers/a/packages/rpms.txt", "nano\n")
        try scratch.write("layers/c/packages/rpms.txt", "-nano\n")
        let found = try lint()
        #expect(
            places(found) == [
                "layers/b/packages/debs.txt:1 warning", "layers/b/packages/debs.txt:2 warning",
                "layers/b/packages/debs.txt:3 warning", "layers/c/packages/debs.txt:2 warning",
                "layers/c/packages/rpms.txt:1 warning",
            ]
        )
        #expect(found.faults.first?.message.contains("'-nano' takes out what layer 'a' brings: 'nano=1'") == true)
        #expect(found.faults[2].message.contains("'less' brings back what layer 'a' takes out"))
        let plan = try scratch.plan()
        #expect(plan.debianPackages == ["vim", "-nano", "less", "jq"])
        #expect(plan.redHatPackages == ["-nano"])
        let sources = try #require(plan.explain(package: "nano")).sources.filter {
            $0.file?.hasSuffix("debs.txt") == true
        }
        #expect(sources.map(\.layer) == ["b", "a"] && sources.map(\.holds) == [true, false])
    }

    @Test("a variant is looked at alone if it is asked for, and must be there")
    func variant() throws {
        try scratch.write(
            "flashlayer.toml",
            """
            name = "x"
            [variant.v]
            [[variant.v.layer]]
            type = "local"
            path = "layers/v"
            [variant.w]
            [[variant.w.layer]]
            type = "local"
            path = "layers/w"
            """
        )
        for name in ["v", "w"] { try scratch.write("layers/\(name)/packages/debs.txt", "X\n") }
        let reading = try Lint.Reading(project: scratch.path, variant: "w")
        let found = Lint(reading, layerPath: [], fetched: Fetched())
        #expect(places(found) == ["layers/w/packages/debs.txt:1 error"])
        _ = failure(.usage) { _ = try Lint.Reading(project: scratch.path, variant: "nope") }
    }

    @Test(
        "a private key is told, unless owners says that nobody else may read it",
        arguments: ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"]
    )
    func privateKeys(label: String) throws {
        try recipe("a")
        try scratch.write("layers/a/configs/etc/ssl/key.pem", "cert - with\n-----BEGIN \(label)-----\nMII\n")
        try scratch.write("layers/a/configs/etc/ssl/cert.pem", "-----BEGIN CERTIFICATE-----\nPRIVATE KEY\n")
        try scratch.write("layers/a/configs/etc/note", "see -----BEGIN \(label)-----")
        #expect(places(try lint()) == ["layers/a/configs/etc/ssl/key.pem:2 warning"])
        try scratch.write("layers/a/owners", "etc/ssl/key.pem 0:0 0640\n")
        #expect(try lint().faults.count == 1)
        try scratch.write("layers/a/owners", "etc/ssl/key.pem 0:0 0600\n")
        #expect(try lint().faults.isEmpty)
    }

    @Test("what everybody may write to is told, here and in the guest")
    func writable() throws {
        try recipe("a")
        try scratch.write("layers/a/configs/f", "", mode: 0o666)
        try scratch.folder("layers/a/configs/spool")
        try scratch.setMode("layers/a/configs/spool", 0o1777)
        #expect(places(try lint()) == ["layers/a/configs/f: warning", "layers/a/configs/spool: warning"])
        #expect(try hint(lint(), of: "spool")?.contains("spool 0:0 1777") == true)
        try scratch.write("layers/a/owners", "f 0:0 0666\nspool 0:0 1777\n")
        #expect(places(try lint()) == ["layers/a/owners:1 warning"])
    }

    @Test("a git layer that is not here is a warning, and nobody misses it twice")
    func gitLayer() throws {
        try scratch.write(
            "flashlayer.toml",
            "name = \"x\"\n[[layer]]\ntype = \"git\"\nurl = \"https://g/os-b.git\"\n"
                + "[[layer]]\ntype = \"local\"\npath = \"layers/a\"\n"
        )
        try scratch.layer("layers/a", needs: ["os-b"])
        #expect(places(try lint()) == ["flashlayer.toml:2 warning"])
    }

    @Test("what is no TOML is one fault with its line")
    func noTOML() throws {
        try scratch.write("flashlayer.toml", "name = \"x\"\n[image\n")
        #expect(places(try lint()) == ["flashlayer.toml:2 error"])
        #expect(failure(.notFound) { _ = try Lint.Reading(project: scratch("nowhere")) }.contains("nowhere"))
    }
}
