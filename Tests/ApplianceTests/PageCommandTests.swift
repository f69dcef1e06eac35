// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import ImageBuilder
import Model
import Programs
import TestSupport
import Testing

/// The pages' own command lines, letter by letter, in a shell: what a reader types is what is run. Names of disks lead to
/// loop devices, for which `--allow virtual` is added; `--yes` where a person would be asked, and `--force` where a file
/// may be that another line has made.
@Suite(
    "Commands of the pages",
    .serialized,
    .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)")
)
struct PageCommandTests {
    /// What becomes of a line.
    private enum Course {
        /// It is run, and ends with one of these.
        case run(Set<Int32>)
        /// Another test runs it, on what takes too long to be made once more: a file, and how its name begins.
        case elsewhere(String, String, in: String = "ApplianceTests")
        /// The run of this test began with it, or cannot be without it.
        case before
    }

    /// Of lines that do not just end with 0.
    private static let courses: [String: Course] = [
        // No disk here is one of these.
        "flashlayer write kiosk.raw 'serial=4C53*,transport=usb,size=7G..33G'": .run([66]),
        "flashlayer verify kiosk.raw 'model= <in> ultra'": .run([66]),
        // Whatever this machine has: one that may be written, one that may not, none, or several.
        "flashlayer explain '{\"size\": \">= 7\", \"rotational\": false}'": .run([0, 66, 77]),
        "flashlayer doctor": .run([0, 69]),
        // A loop device is only written to when that is said.
        "flashlayer explain /dev/sdX": .run([77]), "flashlayer explain /dev/sdb": .run([77]),
        "flashlayer explain /dev/sdb --image kiosk.qcow2": .run([77]),
        "flashlayer boot-test kiosk.qcow2": boots,
        "flashlayer boot-test kiosk.qcow2 --junit kiosk.xml": boots,
        "flashlayer boot-test /dev/sdX --project examples/kiosk --firmware uefi": boots,
        "flashlayer boot-test /dev/loop0": boots,
        "flashlayer build-and-write /dev/loop0 --project examples/kiosk --allow virtual --yes": .before,
        "flashlayer build --all": .elsewhere("ExportBuildTests", "every output that the recipe names is the image"),
        "flashlayer build --keep-failed -v --log build.log": .elsewhere(
            "BuildTests",
            "a script that fails ends the build with its layer"
        ),
        "flashlayer plan --base debian-12.qcow2 --layer layers/base-tools layers/kiosk": .elsewhere(
            "BuildTests",
            "an image that is given is built upon"
        ),
        "sh kiosk-script/install.sh": .elsewhere("ScriptBuildTests", "a script bundle brings a machine that runs"),
        "packer init plugins.pkr.hcl": packer,
        "packer build -only=qemu.image -var base_image=debian-12.qcow2 kiosk-packer/kiosk.pkr.hcl": packer,
        "packer build -only=null.machine -var ssh_host=192.0.2.7 -var ssh_private_key_file=key kiosk-packer/kiosk.pkr.hcl":
            packer,
        "flashlayer station arm kiosk.raw --slots 1-8 --count 200 --until 18:00 --size 7G..33G": station,
        "flashlayer station status --watch": station, "flashlayer station disarm": station,
        "flashlayer station teach 1": teaching, "flashlayer station teach front --device /dev/sdX": teaching,
        "make": .before, "make deps": .before, "make test": .before, "make demo": .before, "make bench": .before,
        "make deb": packages, "make install-files": packages,
        "apt-get install ./.build/deb/flashlayer_0.1.0_amd64.deb ./.build/deb/flashlayer-builder_0.1.0_amd64.deb":
            packages,
    ]

    private static let station = Course.elsewhere(
        "StationCommandTests",
        "a station is armed, watched and disarmed",
        in: "StationServiceTests"
    )
    private static let teaching = Course.elsewhere(
        "StationCommandTests",
        "a socket is taught by the stick in it",
        in: "StationServiceTests"
    )
    private static let boots = Course.elsewhere("BuildTests", "a disk that it was written to boots")
    private static let packer = Course.elsewhere("PackerBuildTests", "Packer itself makes of the base")
    private static let packages = Course.elsewhere("DebianPackageTests", "are installed, used and purged")

    /// Programs whose lines are commands; what else stands in a page's code is what they print, or a file.
    private static let programs: Set = ["flashlayer", "make", "packer", "sh", "ssh", "cd", "openssl", "apt-get"]

    /// The lines of a page that are commands.
    private static func commands(of page: String) throws -> [String] {
        var fence: Substring?
        var found: [String] = []
        for line in try Checkout.lines(page) {
            if line.hasPrefix("```") {
                fence = fence == nil ? line.dropFirst(3) : nil
                continue
            }
            guard fence == "console" || fence == "sh" || fence == "" || line.hasPrefix("    ") else { continue }
            var command = line.drop { $0 == " " }
            // Of a session, only what was typed.
            if fence == "console" || command.hasPrefix("$ ") {
                guard command.hasPrefix("$ ") else { continue }
                command = command.dropFirst(2)
            }
            if let comment = command.firstRange(of: "  #") { command = command[..<comment.lowerBound] }
            if command.hasPrefix("sudo ") { command = command.dropFirst(5) }
            while command.last == " " { command.removeLast() }
            let word = command.prefix { $0 != " " }
            if programs.contains(String(word)) { found.append(String(command)) }
        }
        return found
    }

    @Test(
        "are run as they stand, and end as they should",
        arguments: try Checkout.files(["docs"], suffixes: [".md"]) + ["README.md"]
    )
    func run(_ page: String) async throws {
        let commands = try Self.commands(of: page)
        var lines: [(command: String, statuses: Set<Int32>)] = []
        for command in commands {
            switch Self.courses[command] ?? .run([0]) {
            case .before: continue
            case .run(let statuses): lines.append((command, statuses))
            case .elsewhere(let suite, let name, let room):
                let text = try Checkout.text("Tests/\(room)/\(suite).swift")
                #expect(text.contains("\"\(name)"), "\(command)")
            }
        }
        guard !lines.isEmpty else { return }
        // Pages on builds are for those who have built something; and what they prune is nobody else's.
        let desk = try await Desk()
        if page == "docs/builds.md" { try desk.has(try await Fixture.shared.built().result.image) }
        if page == "docs/getting-started.md" { _ = try await Fixture.shared.built() }
        let outcome = try await desk.run(lines.map(\.command))
        for (index, line) in lines.enumerated() {
            let status = outcome.statuses[index]
            #expect(
                status.map(line.statuses.contains) == true,
                "\(page): \(line.command): \(status ?? -1)\n\(outcome.text)"
            )
        }
    }
}

/// What a reader of the pages has before them: a project, images, and disks.
private struct Desk {
    private let folder: TemporaryFolder
    private let disks: [LoopDevice]

    init() async throws {
        folder = try TemporaryFolder()
        disks = try (0..<3).map { _ in try LoopDevice(size: 3 << 30) }
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("examples"),
            withDestinationPath: "\(Checkout.root)/examples"
        )
        let prepare = """
            set -e
            cp -r examples/kiosk/. .
            truncate -s 64M kiosk.raw
            # A disk with a table and a file system that can grow.
            printf 'label: gpt\\nstart=2048, type=linux\\n' | sfdisk --quiet kiosk.raw
            mke2fs -q -t ext4 -F -E offset=1048576 kiosk.raw 62M
            xz --keep --fast kiosk.raw
            zstd --quiet kiosk.raw
            qemu-img convert -O qcow2 kiosk.raw kiosk.qcow2
            "$flashlayer" map kiosk.raw -o kiosk.bmap
            mkdir bin
            cat > bin/flashlayer <<'END'
            #!/bin/sh
            case $1 in write | build-and-write) set -- "$@" --allow virtual --yes ;; map) set -- "$@" --force ;; esac
            exec "$flashlayer" "$@"
            END
            printf '#!/bin/sh\\nshift\\nexec "$@"\\n' > bin/ssh
            printf '#!/bin/sh\\necho secret\\n' > bin/openssl
            chmod +x bin/*
            """
        let made = try await shell(prepare)
        guard made.status == 0 else { throw FlashlayerError(.fault, "\(made.output)\n\(made.errors)") }
    }

    /// Images that are compared.
    func has(_ image: String) throws {
        for name in ["kiosk-1.0", "kiosk-1.1", "first", "second"] {
            try FileManager.default.createSymbolicLink(
                atPath: folder.file("\(name).qcow2"),
                withDestinationPath: image
            )
        }
    }

    /// Runs commands one after the other in one shell.
    func run(_ commands: [String]) async throws -> (statuses: [Int: Int32], text: String) {
        let lines = commands.enumerated().map { index, command in
            "echo '+ \(index)'\n\(onDisks(command))\necho \"= \(index) $?\""
        }
        let isPruned = commands.contains { $0.hasPrefix("flashlayer cache") }
        let outcome = try await shell(
            (isPruned ? "export FLASHLAYER_CACHE=$PWD/cache\nmkdir cache\n" : "")
                + "exec 2>&1 < /dev/null\nPATH=$PWD/bin:$PATH\n" + lines.joined(separator: "\n")
        )
        let ends = outcome.output.split(separator: "\n").filter { $0.hasPrefix("= ") }.compactMap { line in
            let words = line.split(separator: " ").dropFirst().compactMap { Int32($0) }
            return words.count == 2 ? (Int(words[0]), words[1]) : nil
        }
        return (Dictionary(ends, uniquingKeysWith: { $1 }), outcome.output)
    }

    private func onDisks(_ command: String) -> String {
        zip(["/dev/sdb", "/dev/sdc", "/dev/sdd"], disks).reduce(
            command.replacing("/dev/sdX", with: disks[0].path)
        ) { $0.replacing($1.0, with: $1.1.path) }
    }

    private func shell(_ text: String) async throws -> Program.Outcome {
        try await Program("bash", debianPackage: "bash").outcome(
            ["-c", text],
            environment: ["flashlayer": try FlashlayerProgram.path],
            workingDirectory: folder.path
        )
    }
}
