// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import ImageExport
import Layers
import Model
import Programs
import TestSupport
import Testing

@Suite("Script bundles")
struct BundleTests {
    private static let line = Layer.Variable(key: "LINES", value: "one\ntwo 'three'\n")

    private static func text(_ path: String) throws -> String {
        try String(contentsOfFile: path, encoding: .utf8)
    }

    @Test("the shell texts are clean for sh, dash and shellcheck, whatever the layers hold")
    func syntax() async throws {
        let folder = try TemporaryFolder()
        let plan = try ExportProject.plan(in: folder, arguments: [Self.line])
        let report = try await PackerExport(plan).write(to: folder.file("packer"), replaces: false)
        try FileManager.default.createDirectory(atPath: folder.file("payload"), withIntermediateDirectories: false)
        try await Program("tar", debianPackage: "tar").run([
            "-xf", folder.file("packer/payload.tar"), "-C", folder.file("payload"),
        ])
        let texts =
            report.files.map { folder.file("packer/\($0.path)") }
            + (try FileManager.default.subpathsOfDirectory(atPath: folder.file("payload"))).map {
                folder.file("payload/\($0)")
            }
        let scripts = texts.filter { $0.hasSuffix(".sh") }.sorted()
        #expect(scripts.count > 12)
        for script in scripts {
            for shell in ["sh", "dash", "bash"] { try await Program(shell, debianPackage: shell).run(["-n", script]) }
        }
        // Steps are read by install.sh, which sets and reads their variables; values with a dollar are meant. What the appliance runs has its own style.
        let ours = scripts.filter { !$0.contains("/files/") && !$0.contains("/scripts-") }
        try await Program("shellcheck", debianPackage: "shellcheck").run(
            ["--shell=sh", "--exclude=SC2016,SC2034,SC2154"] + ours
        )
        let files = scripts.filter { $0.contains("/files/") }
        try await Program("shellcheck", debianPackage: "shellcheck").run(["--shell=sh", "--severity=error"] + files)
    }

    @Test("--force replaces an export as it was left, and nothing else that has a list of sums")
    func replaced() async throws {
        let folder = try TemporaryFolder()
        let plan = try ExportProject.plan(in: folder)
        let place = folder.file("there")
        let first = try await ScriptBundle(plan).write(to: place, replaces: false)
        // What a killed process has left goes with the next one; another process's is left alone.
        try folder.write("x", to: ".there.part-2000000000/file")
        try folder.write("x", to: ".there.part-1/file")
        let second = try await ScriptBundle(plan).write(to: place, replaces: true)
        #expect(first.files == second.files)
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasPrefix(".there") }
        #expect(left == [".there.part-1"])

        try folder.write("edited\n", to: "there/README.md")
        await #expect(throws: FlashlayerError.self) {
            _ = try await ScriptBundle(plan).write(to: place, replaces: true)
        }
        #expect(try Self.text(folder.file("there/README.md")) == "edited\n")

        try folder.write("precious", to: "downloads/debian.iso")
        try await Program("bash", debianPackage: "bash").run([
            "-c", "cd \"$1\" && sha256sum debian.iso > SHA256SUMS", "bash", folder.file("downloads"),
        ])
        await #expect(throws: FlashlayerError.self) {
            _ = try await ScriptBundle(plan).write(to: folder.file("downloads"), replaces: true)
        }
        #expect(try Self.text(folder.file("downloads/debian.iso")) == "precious")
    }

    @Test("the same project gives the same bytes, modes and times, and another digest where something differs")
    func deterministic() async throws {
        let folder = try TemporaryFolder()
        let plan = try ExportProject.plan(in: folder)
        let first = try await ScriptBundle(plan).write(to: folder.file("first"), replaces: false)
        let second = try await ScriptBundle(plan).write(to: folder.file("second"), replaces: false)
        #expect(first.files == second.files)
        #expect(first.parts == second.parts)
        let list = "cd \"$1\" && find . -printf '%p %m %s %T@\\n' | LC_ALL=C sort"
        let bash = try Program("bash", debianPackage: "bash")
        let lists = try await [
            bash.run(["-c", list, "bash", folder.file("first")]),
            bash.run(["-c", list, "bash", folder.file("second")]),
        ]
        #expect(lists[0] == lists[1])
        try await Program("diff", debianPackage: "diffutils").run(["-r", folder.file("first"), folder.file("second")])

        try folder.write("#!/bin/sh\nfalse\n", to: "layers/second's/scripts/10-a.sh", mode: 0o755)
        let changed = try await ScriptBundle(try Plan(.recipe(path: folder.path))).write(
            to: folder.file("third"),
            replaces: false
        )
        let differ = zip(first.parts, changed.parts).filter { $0.digest != $1.digest }.map(\.0.name)
        #expect(differ == ["scripts-02-second_s", "finish"], "what comes before it keeps its digest")
    }

    @Test("parts come in the order of a build, and only the one for Packer cleans up")
    func order() async throws {
        let folder = try TemporaryFolder()
        let plan = try ExportProject.plan(in: folder)
        let script = try await ScriptBundle(plan).write(to: folder.file("script"), replaces: false)
        let parts = ["packages", "configs", "scripts-01-first", "scripts-02-second_s", "finish"]
        #expect(script.parts.map(\.name) == parts)
        let packer = try await PackerExport(plan).write(to: folder.file("packer"), replaces: false)
        #expect(packer.parts.map(\.name) == parts + ["clean-up"])
        let all = try script.files.map {
            try String(
                decoding: #require(FileManager.default.contents(atPath: folder.file("script/\($0.path)"))),
                as: UTF8.self
            )
        }
        #expect(!all.contains { $0.contains("ssh_host_") }, "a machine that stays itself keeps its keys")
        #expect(try Self.text(folder.file("script/steps/packages.sh")).contains("jq nano-"))
        // A script is what it was, to the byte.
        let file = try #require(script.files.first { $0.path.hasPrefix("scripts-01-first/") })
        #expect(
            try Self.text(folder.file("script/\(file.path)"))
                == Self.text(folder.file("layers/first/scripts/10 odd's $name.sh"))
        )
    }

    @Test("a folder that holds anything is left alone; --force replaces an earlier export and nothing else")
    func replaces() async throws {
        let folder = try TemporaryFolder()
        let plan = try ExportProject.plan(in: folder)
        let place = folder.file("out")
        func write(_ replaces: Bool) async throws -> ExportReport {
            try await ScriptBundle(plan).write(to: place, replaces: replaces)
        }
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        _ = try await write(false)
        await #expect { try await write(false) } throws: { ($0 as? FlashlayerError)?.code == .cannotCreate }
        _ = try await write(true)
        try folder.write("mine\n", to: "out/steps/notes.txt")
        await #expect { try await write(true) } throws: { error in
            (error as? FlashlayerError)?.message.contains("steps/notes.txt") == true
        }
        #expect(try Self.text("\(place)/steps/notes.txt") == "mine\n")
        // A file is no folder; and where writing fails, nothing is left beside it.
        await #expect {
            try await ScriptBundle(plan).write(to: folder.file("flashlayer.toml"), replaces: true)
        } throws: {
            ($0 as? FlashlayerError)?.code == .cannotCreate
        }
        try folder.write("#!/bin/sh\nchanged\n", to: "layers/second's/scripts/10-a.sh", mode: 0o755)
        await #expect { try await ScriptBundle(plan).write(to: folder.file("late"), replaces: false) } throws: {
            ($0 as? FlashlayerError)?.code == .badLayer
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
        #expect(left == ["flashlayer.toml", "layers", "out"])
    }

    @Test("an export that is interrupted leaves nothing", arguments: [true, false])
    func interrupted(isPacker: Bool) async throws {
        let folder = try TemporaryFolder()
        let plan = try ExportProject.plan(in: folder)
        let task = Task {
            // As Ctrl-C does; by the task itself, so that it is never too late.
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return isPacker
                ? try await PackerExport(plan).write(to: folder.file("out"), replaces: false)
                : try await ScriptBundle(plan).write(to: folder.file("out"), replaces: false)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["flashlayer.toml", "layers"]
        )
    }

    @Test("install.sh explains itself, knows its parts, and refuses what it does not know")
    func words() async throws {
        let folder = try TemporaryFolder()
        let plan = try ExportProject.plan(in: folder)
        _ = try await ScriptBundle(plan).write(to: folder.file("out"), replaces: false)
        let sh = try Program("sh", debianPackage: "dash")
        func call(_ arguments: String...) async throws -> Program.Outcome {
            try await sh.outcome([folder.file("out/install.sh")] + arguments)
        }
        let help = try await call("--help")
        #expect(
            help.status == 0 && help.output.contains("scripts-01-first")
                && help.output.contains("$FLASHLAYER_SECRETS/NAME")
        )
        for wrong in [
            ["--nonsense"], ["--part"], ["--part", "none"], ["--secret", "x"], ["--secret", "../x=/etc/passwd"],
        ] {
            let outcome = try await sh.outcome([folder.file("out/install.sh")] + wrong)
            #expect(outcome.status == 64, "\(wrong): \(outcome.errors)")
        }
        // Called by a link, it finds what lies beside it all the same.
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("link"),
            withDestinationPath: "out/install.sh"
        )
        let linked = try await sh.outcome([folder.file("link"), "--dry-run", "--part", "configs"])
        #expect(linked.status == 0 && linked.output.contains("  set ODD in"), "\(linked.errors)")
        let dry = try await call("--dry-run", "--part", "configs")
        #expect(dry.status == 0, "\(dry.errors)")
        #expect(dry.output.contains("configs: would do\n") && !dry.output.contains("packages"))
        #expect(dry.output.contains("  set ODD in /etc/environment (first)\n"))
    }
}
