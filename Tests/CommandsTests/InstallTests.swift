// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Programs
import TestSupport
import Testing

@Suite("What 'make install' leaves")
struct InstallTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func make(_ target: String, _ prefix: String) async throws -> Program.Outcome {
        let program = try FlashlayerProgram.path
        let built = program[..<(program.lastIndex(of: "/") ?? program.startIndex)]
        return try await Program("make", debianPackage: "make").outcome(
            [target, "RELEASE=\(built)", "DESTDIR=\(folder.path)", "PREFIX=\(prefix)", "SWIFT=/bin/false"],
            workingDirectory: Checkout.root
        )
    }

    private func files() throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { path in
            var isFolder = false
            return FileManager.default.fileExists(atPath: folder.file(path), isDirectory: &isFolder) && !isFolder
        }
        .sorted()
    }

    @Test("everything is below DESTDIR and PREFIX, and 'make uninstall' takes all of it away")
    func installed() async throws {
        let made = try await make("install-files", "/opt/odd")
        #expect(made.status == 0, "\(made.errors)")
        let found = try files()
        let expected = [
            "bin/flashlayer", "bin/flashlayerd", "lib/systemd/system/flashlayerd.service",
            "lib/sysusers.d/flashlayerd.conf", "share/man/man8/flashlayerd.8", "lib/tmpfiles.d/flashlayer.conf",
            "lib/udev/rules.d/85-flashlayer.rules",
            "libexec/flashlayer/flashlayer-builder", "share/bash-completion/completions/flashlayer",
            "share/fish/vendor_completions.d/flashlayer.fish", "share/man/man1/flashlayer-write.1",
            "share/man/man1/flashlayer.1", "share/man/man5/flashlayer.toml.5",
            "share/zsh/site-functions/_flashlayer",
        ]
        for file in expected { #expect(found.contains("opt/odd/" + file), "\(file)") }
        #expect(found.allSatisfy { $0.hasPrefix("opt/odd/") }, "\(found)")
        let program = try await Program(at: folder.file("opt/odd/bin/flashlayer")).outcome(["--version"])
        #expect(program.status == 0)

        let unit = try String(
            contentsOfFile: folder.file("opt/odd/lib/systemd/system/flashlayerd.service"),
            encoding: .utf8
        )
        #expect(unit.contains("\nExecStart=/opt/odd/bin/flashlayerd\n"))

        let removed = try await make("uninstall", "/opt/odd")
        #expect(removed.status == 0, "\(removed.errors)")
        #expect(try files() == [])
    }

    @Test("flashlayer.toml(5) tells of every key, its example is a recipe, and mandoc finds no fault with it")
    func recipePage() async throws {
        let written = try await FlashlayerProgram.run(["_manual", "--section", "5", folder.path])
        #expect(written.status == 0, "\(written.errors)")
        let page = folder.file("flashlayer.toml.5")
        let lint = try await Program("mandoc", debianPackage: "mandoc").outcome(["-T", "lint", "-W", "warning", page])
        #expect(lint.status == 0 && lint.output.isEmpty, "\(lint.output)")
        let shown = try await Program("mandoc", debianPackage: "mandoc").run(["-T", "utf8", "-O", "width=100", page])
            .replacing(#/.\u{8}/#, with: "")
        for table in RecipeSchema.tables {
            #expect(shown.contains(table.header))
            for key in table.keys { #expect(shown.contains(key.name), "\(key.name)") }
        }
        let example = try #require(shown.firstRange(of: "EXAMPLE\n"))
        let end = try #require(shown.firstRange(of: "\nSEE ALSO"))
        let lines = shown[example.upperBound..<end.lowerBound].split(separator: "\n").map {
            $0.trimmingPrefix { $0 == " " }
        }
        let recipe = try Recipe(text: lines.joined(separator: "\n"), file: "flashlayer.toml")
        #expect(recipe.layers.count == 2 && recipe.users.count == 1 && recipe.outputs.images.count == 2)
    }

    @Test("there is a manual page for every command, and neither man nor mandoc finds fault with one")
    func manual() async throws {
        let written = try await FlashlayerProgram.run(["_manual", folder.path])
        #expect(written.status == 0, "\(written.errors)")
        let pages = try files()
        let help = try await FlashlayerProgram.run([]).output
        for page in pages
        where page.split(separator: "-").count == 2 && !page.contains("cache-") && !page.contains("station-") {
            let command = page.dropFirst("flashlayer-".count).dropLast(".1".count)
            #expect(help.contains("  \(command)"), "\(page)")
        }
        for page in ["flashlayer", "flashlayer-write", "flashlayer-explain", "flashlayer-cache-prune"] {
            #expect(pages.contains("\(page).1"))
        }
        #expect(!pages.contains { $0.contains("_") }, "workers are not for people")
        let lint = try await Program("mandoc", debianPackage: "mandoc").outcome(
            ["-T", "lint", "-W", "warning"] + pages.map { folder.file($0) }
        )
        #expect(lint.status == 0 && lint.output.isEmpty, "\(lint.output)")
        let man = try await Program("man", debianPackage: "man-db").outcome(
            ["--warnings", "--local-file"] + pages.map { folder.file($0) },
            environment: ["MANPAGER": "cat", "PAGER": "cat", "LC_ALL": "C.UTF-8", "MANWIDTH": "100"]
        )
        #expect(man.status == 0 && man.errors.isEmpty, "\(man.errors)")
        #expect(man.output.contains("--holes"))
        #expect(man.output.contains("flashlayer write kiosk.raw 'serial=4C53*,size=7G..33G' --wait 60"))
    }

    @Test("systemd-tmpfiles makes the folder of marks as its file says")
    func marks() async throws {
        try folder.write("root:x:0:0::/:/bin/sh\n", to: "etc/passwd")
        try folder.write("root:x:0:\ndisk:x:6:\n", to: "etc/group")
        let outcome = try await FlashlayerProgram.script(
            #"systemd-tmpfiles --create --root="$2" "$1""#,
            arguments: ["\(Checkout.root)/systemd/flashlayer.conf", folder.path]
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
    }
}
