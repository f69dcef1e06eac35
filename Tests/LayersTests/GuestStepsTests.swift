// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import TestSupport
import Testing

@Suite("What is done inside a guest")
struct GuestStepsTests {
    private static let awkward = "it's \"a\" $HOME `x` \\ ü"

    private static func image() -> ImageSettings {
        var image = ImageSettings()
        image.hostname = "kiosk.example.org"
        image.timezone = "Europe/Berlin"
        image.locale = "de_DE.UTF-8"
        return image
    }

    private static func entry(_ path: String, owned: Bool = false) throws -> OverlayEntry {
        OverlayEntry(
            path: Pathname(path),
            source: Pathname("/host/\(path)"),
            kind: .file(size: 1, digest: try SHA256.digest(of: "x")),
            mode: 0o4755,
            user: "www-data",
            group: "adm",
            hasOwnersLine: owned
        )
    }

    @Test(
        "apt is told the version that was chosen for an entry, however it was written",
        arguments: [
            ("jq", "jq=1.6-2"), ("jq=1.*", "jq=1.6-2"), ("jq/bookworm", "jq=1.6-2"), ("-nano", "nano-"),
            ("bash", "bash"),
            ("libc6:arm64", "libc6:arm64=2.36"), ("bash=5*", "bash"),
        ]
    )
    func chosenVersions(entry: String, argument: String) throws {
        let chosen = [
            AptSteps.Version(name: "jq", version: "1.6-2", architecture: "amd64"),
            AptSteps.Version(name: "libc6", version: "2.36", architecture: "arm64"),
        ]
        let steps = AptSteps.install([entry], chosen: chosen, fromDrive: 1, recommends: nil)
        let installs = steps.compactMap { step -> String? in
            guard case .run(let command) = step, command.arguments.contains("install") else { return nil }
            return command.arguments.last
        }
        #expect(installs == [argument])
    }

    private static func allSteps() throws -> [GuestStep] {
        var user = User("kiosk")
        (user.comment, user.groups, user.authorizedKeys) = (awkward, ["sudo"], ["ssh-ed25519 AAAA"])
        return BootLoaderSteps.install(for: [.bios, .uefi])
            + UserSteps.create([user]) + UserSteps.join([user])
            + AptSteps.install(["jq", "-nano"], chosen: [], fromDrive: 1, recommends: false)
            + RpmSteps.install(
                [.init("jq", origin: "asked for by a"), .init("-nano", origin: "asked for by a")],
                manager: "dnf",
                recommends: false,
                locked: ["jq\t1.6-1\tx86_64\t00\tjq-1.6-1.x86_64.rpm"]
            )
            + PipSteps.install(["flask"], python: .venv, name: "a b", hostCertificates: "/ca")
            + PipSteps.install(["flask"], python: .system, name: "a", hostCertificates: nil)
            + OverlaySteps.unpack([try entry("etc/\(awkward)", owned: true)], hostArchive: "/a.tar")
            + SettingsSteps.apply(image(), environment: [.init(key: "A", value: awkward)])
            + FinishSteps.boot(kernelArguments: ["quiet", awkward])
            + FinishSteps.removeIdentity(kept: [try entry("etc/machine-id")])
            + [.run(RelabelSteps.byGuest)]
            + BootTestSteps.steps([.command("true")])
    }

    @Test("every shell text is one that a POSIX shell can read")
    func syntax() async throws {
        let shell = try Program("dash", debianPackage: "dash")
        var count = 0
        for step in try Self.allSteps() {
            let text: String? =
                switch step {
                case .run(let command):
                    command.arguments.first == "/bin/sh" && command.arguments.count == 4 ? command.arguments.last : nil
                case .write(let path, let contents, _):
                    path.hasSuffix(".sh") || path.hasSuffix("report") ? contents : nil
                default: nil
                }
            guard let text else { continue }
            count += 1
            let outcome = try await shell.outcome(["-n", "-c", text])
            #expect(outcome.status == 0, "\(outcome.errors) in:\n\(text)")
        }
        #expect(count >= 10)
    }

    @Test("quoted text is one word of a shell, whatever it holds")
    func quoting() async throws {
        let shell = try Program("dash", debianPackage: "dash")
        #expect(try await shell.run(["-c", "printf %s \(Self.awkward.shellQuoted)"]) == Self.awkward)
    }

    @Test("kernel arguments reach GRUB's variable as they were written")
    func kernelArguments() async throws {
        let text = BootLoaderSteps.argumentsFileText(["quiet", "a=\"$x\"", "b=`y`", "c=\\z"])
        let shell = try Program("dash", debianPackage: "dash")
        let output = try await shell.run([
            "-c", "GRUB_CMDLINE_LINUX=first\n\(text)\nprintf '%s' \"$GRUB_CMDLINE_LINUX\"",
        ])
        #expect(output == "first quiet a=\"$x\" b=`y` c=\\z")
    }

    /// Runs the step's shell with a folder in the place of the guest's /etc and /run.
    private func merge(_ variables: [Layer.Variable], in folder: TemporaryFolder) async throws -> String {
        for step in SettingsSteps.apply(ImageSettings(), environment: variables) {
            switch step {
            case .write(let path, let contents, _):
                try folder.write(contents, to: String(path.dropFirst()))
            case .run(let command):
                let text = try #require(command.arguments.last)
                    .replacing(GuestFolder.scratch, with: folder.file(String(GuestFolder.scratch.dropFirst())))
                    .replacing("/etc/environment", with: folder.file("etc/environment"))
                try await Program(at: "/bin/sh").run(["-euc", text])
            default:
                Issue.record("an unexpected step: \(step)")
            }
        }
        let data = try #require(FileManager.default.contents(atPath: folder.file("etc/environment")))
        return String(decoding: data, as: UTF8.self)
    }

    @Test("the environment is merged by key, in place, to the letter, and twice is as good as once")
    func environment() async throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "# kept\nPATH=\"/bin\"\nexport A=old\nno assignment\nB = old\nA=again\n",
            to: "etc/environment"
        )
        let variables = [
            Layer.Variable(key: "A", value: "x=y # \\n 'q' \"r\" & |"), .init(key: "B", value: ""),
            .init(key: "NEW", value: "a b"),
        ]
        let expected = "# kept\nPATH=\"/bin\"\nA=x=y # \\n 'q' \"r\" & |\nno assignment\nB=\nNEW=a b\n"
        #expect(try await merge(variables, in: folder) == expected)
        #expect(try await merge(variables, in: folder) == expected)
    }

    /// Every byte that a name may have, and names that a shell could take for something else.
    private static let awkwardNames: [Pathname] = [
        "plain", "-rf", "a\\x41 b'\"$x`", "line\nend\n", Pathname((1...255).filter { $0 != 0x2F }),
        Pathname([0xFF, 0x0A]), "ü",
    ]

    private static func entries(in folder: TemporaryFolder) throws -> [OverlayEntry] {
        try awkwardNames.map { name in
            let path = Pathname(folder.path).appending(name)
            try #require(unsafe path.withCString { unsafe close(creat($0, 0o600)) } == 0)
            var entry = try entry("x", owned: true)
            entry.path = Pathname(path.bytes.dropFirst())
            (entry.user, entry.group, entry.mode) = ("\(getuid())", "\(getgid())", 0o4751)
            return entry
        }
    }

    @Test("owners and modes reach folders whatever their names")
    func awkwardOwners() async throws {
        let folder = try TemporaryFolder()
        var entries = try Self.entries(in: folder)
        for index in entries.indices { entries[index].kind = .directory }
        for step in OverlaySteps.unpack(entries, hostArchive: "/a.tar") {
            guard case .write(_, let script, _) = step else { continue }
            let lines = script.split(separator: "\n", omittingEmptySubsequences: false).drop {
                $0.hasPrefix("tar ") || $0.hasPrefix("rm ")
            }
            // A file that takes every owner, in place of one in the guest.
            let text = lines.joined(separator: "\n").replacing("\(GuestFolder.scratch)/overlay.sh", with: folder.path)
            try await Program(at: "/bin/sh").run(["-eu", "-c", text])
        }
        for entry in entries {
            var status = stat()
            try #require(
                unsafe Pathname([UInt8(ascii: "/")] + entry.path.bytes).withCString { unsafe lstat($0, &status) } == 0
            )
            #expect(status.st_mode & 0o7777 == 0o4751, "\(entry.path)")
        }
    }

    @Test(
        "labels are given where SELinux is on and its policy is there; who cannot give them says so",
        arguments: [
            (nil, false, Int32(0)), ("SELINUX=disabled\nSELINUXTYPE=targeted\n", false, 0),
            ("# SELINUX=enforcing\nSELINUX=permissive\nSELINUXTYPE=other\n", false, 0),
            ("SELINUX=enforcing\nSELINUXTYPE=targeted\n", false, 3),
            // libselinux does not take blanks around the sign either.
            ("SELINUX = enforcing\nSELINUXTYPE=targeted\n", false, 0),
            ("SELINUX=enforcing\nSELINUXTYPE=targeted\n", true, 4),
        ] as [(String?, Bool, Int32)]
    )
    func relabel(config: String?, hasProgram: Bool, status: Int32) async throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.file("run/flashlayer"),
            withIntermediateDirectories: true
        )
        if let config { try folder.write(config, to: "etc/selinux/config") }
        try folder.write("/.* x\n", to: "etc/selinux/targeted/contexts/files/file_contexts")
        // The only programs that there are.
        for program in ["sed", "tail"] {
            try FileManager.default.createDirectory(atPath: folder.file("bin"), withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: folder.file("bin/\(program)"),
                withDestinationPath: try Program(program, debianPackage: program).path
            )
        }
        if hasProgram { try folder.write("#!/bin/sh\nexit 1\n", to: "bin/setfiles", mode: 0o755) }
        let text = try #require(RelabelSteps.byGuest.arguments.last)
            .replacing("/etc/selinux", with: folder.file("etc/selinux"))
            .replacing(GuestFolder.scratch, with: folder.file("run/flashlayer"))
        let outcome = try await Program(at: "/bin/sh").outcome(
            ["-eu", "-c", text],
            environment: ["PATH": folder.file("bin")]
        )
        #expect(outcome.status == status, "\(outcome.errors)")
    }

    @Test("what layers brought is known again when a build's traces are removed, whatever its name")
    func keptNames() async throws {
        let (folder, scratch) = (try TemporaryFolder(), try TemporaryFolder())
        let entries = try Self.entries(in: folder)
        var script = ""
        for step in FinishSteps.removeIdentity(kept: entries) {
            switch step {
            case .write(_, let contents, _): try scratch.write(contents, to: "kept")
            case .run(let command): script = command.arguments.last ?? ""
            default: break
            }
        }
        // Its own functions, and in the place of the guest's folders this one.
        let start = try #require(script.firstRange(of: "# A path is bytes")).lowerBound
        let end = try #require(script.firstRange(of: "# Package managers' lists")).lowerBound
        let functions = script[start..<end].replacing(GuestFolder.scratch, with: scratch.path)
        try folder.write("", to: "other")
        try await Program(at: "/bin/sh").run(["-euc", "\(functions)\ndrop_tree \(folder.path)"])
        for name in Self.awkwardNames {
            #expect(
                unsafe Pathname(folder.path).appending(name).withCString { unsafe access($0, F_OK) } == 0,
                "\(name)"
            )
        }
        #expect(!FileManager.default.fileExists(atPath: folder.file("other")))
    }

    @Test("a script is a file of its own that sees its layer and the merged environment")
    func scripts() throws {
        let layer = Layer(
            name: "kiosk",
            path: "/l",
            source: "local",
            digest: try SHA256.digest(of: ""),
            dependencies: [],
            debianPackages: [],
            redHatPackages: [],
            pythonPackages: [],
            environment: [],
            overlay: [],
            scripts: [.init(name: "10-a.py", path: "/l/scripts/10-a.py", digest: try SHA256.digest(of: ""))]
        )
        let steps = ScriptSteps.run(layer, environment: [.init(key: "A", value: "\"the 1\"")], network: false)
        guard case .run(let command) = try #require(steps.last) else {
            Issue.record("the last step runs the script")
            return
        }
        #expect(command.arguments == ["\(GuestFolder.scratch)/scripts/10-a.py"])
        #expect(command.environment["FLASHLAYER_LAYER"] == "kiosk")
        #expect(command.environment["FLASHLAYER_PHASE"] == "scripts")
        #expect(command.environment["A"] == "the 1")
        #expect(command.environment["HOME"] == "/root")
        #expect(command.failure == .scriptFailed)
        #expect(!command.network)
    }

    @Test("what is asked not to be there is told to apt in its own way")
    func aptNames() {
        #expect(AptSteps.argument("curl=7.88*") == "curl=7.88*")
        #expect(AptSteps.argument("-nano") == "nano-")
    }

    @Test("a job survives JSON, as it goes to the worker")
    func codable() throws {
        let job = ApplianceJob(
            drives: [.init(path: "/d", format: "qcow2", readOnly: false)],
            accelerator: .tcg,
            network: true,
            temporaryFolder: "/t",
            stages: [.init(.finish, try Self.allSteps())]
        )
        let data = try JSONEncoder().encode(job)
        let read = try JSONDecoder().decode(ApplianceJob.self, from: data)
        #expect(try read.stages.first?.steps == Self.allSteps())
    }
}
