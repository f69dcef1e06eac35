// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import TestSupport
import Testing

@Suite("Plans")
struct PlanTests {
    let scratch: TemporaryFolder

    init() throws {
        scratch = try TemporaryFolder()
    }

    private func recipe(_ layers: [String], _ more: String = "") throws {
        let entries = layers.map { "[[layer]]\ntype = \"local\"\npath = \"\($0)\"\n" }
        try scratch.write("flashlayer.toml", "name = \"x\"\n\(more)\n\(entries.joined())")
    }

    // MARK: Finding layers

    @Test("layers that others depend on are found beside them, in layers/, and on the layer path")
    func search() throws {
        try recipe(["own/a"])
        try scratch.layer("own/a", needs: ["beside", "project", "path", "path2"])
        try scratch.layer("own/beside", needs: ["project"])
        try scratch.layer("layers/project")
        try scratch.layer("p1/path")
        try scratch.layer("p2/path2")
        let plan = try scratch.plan(layerPath: [scratch("p1"), scratch("p2")])
        #expect(plan.layers.map(\.name) == ["project", "beside", "path", "path2", "a"])
        #expect(plan.layers.map(\.path).contains(scratch("p2/path2")))
    }

    @Test("the recipe's own layer goes above any search")
    func recipeWins() throws {
        try recipe(["own/a", "other/b"])
        try scratch.layer("own/a", needs: ["b"])
        try scratch.layer("own/b")
        try scratch.layer("other/b")
        #expect(try scratch.plan().layers.map(\.path) == [scratch("other/b"), scratch("own/a")])
    }

    @Test("a missing layer names who asked, and every place that was looked in")
    func missing() throws {
        try recipe(["own/a"])
        try scratch.layer("own/a", needs: ["# why", "", "nowhere"])
        let message = failure(.layerMissing) { _ = try scratch.plan(layerPath: [scratch("p1"), scratch("p2")]) }
        #expect(message.contains("'nowhere'"))
        #expect(message.contains("\(scratch("own/a/layer-dependencies")):3: "))
        #expect(message.contains("which layer 'a' asks for"))
        for place in ["own/nowhere", "layers/nowhere", "p1/nowhere", "p2/nowhere"] {
            #expect(message.contains(scratch(place)), "\(message)")
        }
        #expect(message.contains("looked in the recipe, "))
    }

    @Test("a folder that the recipe names and that is not there is told with the recipe's line")
    func missingFolder() throws {
        try recipe(["nowhere"])
        let message = failure(.layerMissing) { _ = try scratch.plan() }
        #expect(message.contains("flashlayer.toml:3: ") && message.contains(scratch("nowhere")))
    }

    @Test("a name that the recipe has already given is told with both lines, whatever folder it means")
    func sameName() throws {
        try scratch.layer("p/a")
        try scratch.layer("q/a")
        for second in ["q/a", "p/a", "./q/../p/a"] {
            try recipe(["p/a", second])
            let message = failure(.badRecipe) { _ = try scratch.plan() }
            #expect(message.contains("flashlayer.toml:6: ") && message.contains("flashlayer.toml:3"), "\(message)")
        }
        let folders = Project.folders(base: nil, layers: [scratch("p/a"), scratch("q/a")])
        #expect(failure(.usage) { _ = try Plan(folders) }.contains("'a'"))
    }

    @Test(
        "a submodule that was not fetched is told with the command that does",
        arguments: ["vendor/a", "vendor/a/deep"]
    )
    func submodule(path: String) throws {
        try scratch.write(".gitmodules", "[submodule \"x\"]\n\tpath = vendor/a\n\turl = https://h/a.git\n")
        try scratch.folder("vendor/a")
        try recipe([path])
        let code: ErrorCode = path == "vendor/a" ? .badLayer : .layerMissing
        let message = failure(code) { _ = try scratch.plan() }
        #expect(message.contains("git -C '\(scratch.path)' submodule update --init 'vendor/a'"), "\(message)")
        try scratch.write("vendor/a/README", "fetched, and no layer")
        #expect(!failure(code) { _ = try scratch.plan() }.contains("submodule"))
    }

    @Test("two layers that mean different folders by one name are told")
    func ambiguous() throws {
        try scratch.layer("p/a", needs: ["base"])
        try scratch.layer("q/b", needs: ["base"])
        try scratch.layer("p/base")
        try scratch.layer("q/base")
        try recipe(["p/a", "q/b"])
        #expect(failure(.badLayer) { _ = try scratch.plan() }.contains("'base'"))
    }

    @Test("a layer with nothing but a name in the recipe lies in layers/")
    func byName() throws {
        try scratch.layer("layers/a")
        try scratch.write("flashlayer.toml", "name = \"x\"\n[[layers]]\ntype = \"local\"\nname = \"a\"\n")
        #expect(try scratch.plan().layers.map(\.path) == [scratch("layers/a")])
    }

    @Test("a cycle among layers is printed")
    func cycle() throws {
        try recipe(["layers/a"])
        try scratch.layer("layers/a", needs: ["b"])
        try scratch.layer("layers/b", needs: ["a"])
        #expect(failure(.layerCycle) { _ = try scratch.plan() }.contains("a -> b -> a"))
    }

    @Test("a project that is not there says what to name instead")
    func noProject() throws {
        for path in [scratch("nowhere"), scratch.path] {
            #expect(failure(.notFound) { _ = try Plan(.recipe(path: path)) }.contains("flashlayer.toml"))
        }
    }

    @Test("a project may be named by its file")
    func byFile() throws {
        try recipe(["layers/a"])
        try scratch.layer("layers/a")
        #expect(try Plan(.recipe(path: scratch("flashlayer.toml"))) == scratch.plan())
    }

    @Test("an image as base is pinned by the digest of its content")
    func imageBase() throws {
        try scratch.write("disk.img", "not much of a disk")
        try recipe([], "[base]\nimage = \"disk.img\"")
        let digest = try SHA256.digest(of: "not much of a disk")
        #expect(try scratch.plan().base == .image(path: scratch("disk.img"), sha256: digest.hex))
        try scratch.remove("disk.img")
        #expect(failure(.notFound) { _ = try scratch.plan() }.contains("flashlayer.toml:2: "))
    }

    @Test("without a recipe, the name comes from the last layer or the image")
    func folders() throws {
        try scratch.layer("a")
        try scratch.write("debian-12.qcow2", "x")
        let image = scratch("debian-12.qcow2")
        #expect(try Plan(.folders(base: image, layers: [scratch("a")])).name == "a")
        #expect(try Plan(.folders(base: image, layers: [])).name == "debian-12")
        #expect(try Plan(.folders(base: nil, layers: [scratch("a")])).base == .standard)
    }

    // MARK: Digests and keys

    private func makeProject(in scratch: TemporaryFolder) throws {
        try scratch.write(
            "flashlayer.toml",
            "name = \"x\"\n[[layer]]\ntype = \"local\"\npath = \"layers/b\"\n"
        )
        try scratch.write("layers/a/packages/debs.txt", "curl\n")
        try scratch.write("layers/a/scripts/10.sh", "#!/bin/sh\n")
        try scratch.write("layers/b/layer-dependencies", "a\n")
        try scratch.write("layers/b/configs/etc/motd", "hello")
        try scratch.link("layers/b/configs/etc/link", to: "motd")
        try scratch.write("layers/b/environment", "A=1")
        try scratch.write("layers/b/scripts/10.sh", "#!/bin/sh\n")
    }

    @Test("the same project gives the same digests wherever and whenever it lies")
    func determinism() throws {
        let other = try TemporaryFolder()
        try makeProject(in: scratch)
        try makeProject(in: other)
        var times = [timeval(tv_sec: 1000, tv_usec: 0), timeval(tv_sec: 1000, tv_usec: 0)]
        try #require(unsafe utimes(other("layers/b/configs/etc/motd"), &times) == 0)
        try other.setMode("layers/b/configs/etc/motd", 0o664)
        try other.setMode("layers/b/scripts/10.sh", 0o755)
        try other.write("layers/b/README.md", "does not count")
        try other.write("layers/b/.git/HEAD", "does not count")
        let (first, second) = (try scratch.plan(), try other.plan())
        #expect(first.layers.map(\.digest) == second.layers.map(\.digest))
        #expect(try first.digest() == second.digest())
        #expect(try first.phases() == second.phases())
        #expect(!first.layers.contains { $0.path.hasPrefix(other.path) })
    }

    struct Change: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// The first phase whose key changes; nil: none does.
        let first: Phase?
        let apply: @Sendable (TemporaryFolder) throws -> Void
    }

    static let changes = [
        Change(testDescription: "a comment in a list", first: nil) {
            try $0.write("layers/a/packages/debs.txt", "#\ncurl\n")
        },
        Change(testDescription: "a package", first: .packages) { try $0.write("layers/a/packages/debs.txt", "wget\n") },
        Change(testDescription: "an early file", first: .packages) { try $0.write("layers/b/configs/etc/apt/x", "") },
        Change(testDescription: "content", first: .configs) { try $0.write("layers/b/configs/etc/motd", "HELLO") },
        Change(testDescription: "a mode", first: .configs) { try $0.setMode("layers/b/configs/etc/motd", 0o755) },
        Change(testDescription: "an owner", first: .configs) { try $0.write("layers/b/owners", "etc/motd 1:1") },
        Change(testDescription: "an empty folder", first: .configs) { try $0.folder("layers/b/configs/srv") },
        Change(testDescription: "a link", first: .configs) {
            try $0.remove("layers/b/configs/etc/link")
            try $0.link("layers/b/configs/etc/link", to: "MOTD")
        },
        Change(testDescription: "the environment", first: .configs) { try $0.write("layers/b/environment", "A=2") },
        Change(testDescription: "a script", first: .scripts) { try $0.write("layers/b/scripts/10.sh", "#!/bin/ash\n") },
        Change(testDescription: "a script's name", first: .scripts) { scratch in
            _ = unsafe rename(scratch("layers/b/scripts/10.sh"), scratch("layers/b/scripts/20.sh"))
        },
    ]

    @Test("a change changes the key of its phase and of all after it, and the layer's digest", arguments: changes)
    func change(_ change: Change) throws {
        try makeProject(in: scratch)
        let before = try scratch.plan()
        try change.apply(scratch)
        let after = try scratch.plan()
        #expect(before.layers.map(\.digest) != after.layers.map(\.digest))
        #expect(try before.digest() != after.digest())
        let kept = try zip(before.phases(), after.phases()).map { $0.key == $1.key }
        let expected = Phase.allCases.map { phase in
            change.first.map { Phase.allCases.firstIndex(of: phase) ?? 0 < Phase.allCases.firstIndex(of: $0) ?? 0 }
                ?? true
        }
        #expect(kept == expected)
    }

    @Test("scripts leave a checkpoint for each layer, and an earlier layer's holds when a later one changes")
    func scriptCheckpoints() throws {
        try makeProject(in: scratch)
        let before = try #require(try scratch.plan().phases().first { $0.phase == .scripts })
        #expect(before.checkpoints.map(\.layer) == ["a", "b"])
        #expect(before.checkpoints.last?.key == before.key)
        try scratch.write("layers/b/scripts/20.sh", "#!/bin/sh\n")
        let after = try #require(try scratch.plan().phases().first { $0.phase == .scripts })
        #expect(before.checkpoints.first?.key == after.checkpoints.first?.key)
        #expect(before.key != after.key)
    }

    @Test("what only the builder knows goes into its phase's key and those after it")
    func resolved() throws {
        try makeProject(in: scratch)
        let plan = try scratch.plan()
        let resolved = try plan.phases(resolved: [.configs: [Ingredient("version of jq", "1.2.3")]])
        #expect(try zip(plan.phases(), resolved).map { $0.key == $1.key } == [true, true, false, false, false])
    }

    @Test("what makes a key another one can be named")
    func difference() throws {
        try recipe(["a"])
        try scratch.write("a/configs/etc/motd", "one\n")
        try scratch.write("a/packages/debs.txt", "jq\n")
        let before = try scratch.plan().phases()
        try scratch.write("a/configs/etc/motd", "two\n")
        try scratch.write("a/configs/etc/issue", "new\n")
        try scratch.write("a/packages/debs.txt", "nano\n")
        let after = try scratch.plan().phases()
        func reason(_ phase: Phase) throws -> String? {
            let new = try #require(after.first { $0.phase == phase }?.checkpoints.first)
            let old = try #require(before.first { $0.phase == phase }?.checkpoints.first)
            return new.ingredients.difference(from: old.ingredients)
        }
        #expect(try reason(.base) == nil)
        #expect(try reason(.packages) == "package nano is new, package jq is gone")
        #expect(try reason(.configs) == "/etc/issue is new, /etc/motd changed")
        #expect(try reason(.finish) == nil)
    }

    @Test("the same base serves recipes that differ in everything else")
    func sharedBase() throws {
        try recipe([], "[image]\nhostname = \"a\"")
        let first = try scratch.plan().phases()
        try recipe([], "[image]\nhostname = \"b\"\n[packages]\nrecommends = true")
        #expect(try scratch.plan().phases().first?.key == first.first?.key)
        // The boot loader's menu is made with the base.
        for setting in ["size = \"3G\"", "kernel-arguments = [\"quiet\"]"] {
            try recipe([], "[image]\n\(setting)")
            #expect(try scratch.plan().phases().first?.key != first.first?.key)
        }
    }

    @Test("a plan survives JSON")
    func codable() throws {
        try makeProject(in: scratch)
        let plan = try scratch.plan()
        #expect(try JSONDecoder().decode(Plan.self, from: JSONEncoder().encode(plan)) == plan)
    }

    @Test("the later layer's variable wins and keeps its place")
    func environment() throws {
        try scratch.write("a/environment", "A=1\nB=1\n")
        try scratch.write("b/environment", "C=2\nA=2\n")
        let plan = try Plan(.folders(base: nil, layers: [scratch("a"), scratch("b")]))
        #expect(plan.environment.map { "\($0.key)=\($0.value)" } == ["A=2", "B=1", "C=2"])
    }

    @Test("the example resolves to two layers in order")
    func example() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let plan = try Plan(.recipe(path: "/\(root)/examples/kiosk"))
        #expect(plan.layers.map(\.name) == ["base-tools", "kiosk"])
        #expect(plan.mergedOverlay.contains { $0.path == "bin/kiosk-page" && $0.mode == 0o755 })
        let steps = try plan.phases().flatMap(\.steps)
        #expect(steps.contains("install jq, less, figlet (layers: base-tools, kiosk)"))
        #expect(steps.contains("overlay etc/motd (kiosk)"))
        #expect(steps.contains("run 10-enable.sh (kiosk)"))
    }
}
