// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs
import TestSupport
import Testing

@Suite("Exports that are refused")
struct RefusalTests {
    struct Wrong: Sendable, CustomTestStringConvertible {
        let line: String
        let status: Int32
        let words: [String]
        var testDescription: String { line }
    }

    private static let wrong = [
        Wrong(line: "k.raw k.bin", status: 64, words: ["says no format", "--format", "vmdk (monolithicSparse,"]),
        Wrong(line: "k.raw k.bin --format floppy", status: 64, words: ["'floppy'", "vhdx"]),
        Wrong(line: "k.raw k.vdi --subformat streamOptimized", status: 64, words: ["vdi has no subformat", "vmdk ("]),
        Wrong(line: "k.raw k.raw2 --format raw --subformat fixed", status: 64, words: ["raw has no subformats"]),
        Wrong(line: "k.raw k.vmdk --compress", status: 64, words: ["--subformat streamOptimized"]),
        Wrong(line: "k.raw k.ova --compress", status: 64, words: ["always compressed"]),
        Wrong(line: "k.raw k.vdi --cpus 2", status: 64, words: ["has no machine"]),
        Wrong(line: "k.raw k.ova --cpus 0", status: 64, words: ["1 to 768"]),
        Wrong(line: "k.raw k.ova --memory 1000001", status: 64, words: ["4 MiB"]),
        Wrong(line: "k.raw k.ova --nic token-ring", status: 64, words: ["e1000"]),
        Wrong(line: "- k.vdi", status: 64, words: ["standard input"]),
        Wrong(line: "https://host.example/k.raw k.vdi", status: 64, words: ["curl -fLO"]),
        Wrong(line: "missing.raw k.vdi", status: 66, words: ["missing.raw"]),
        Wrong(line: "packed.raw.gz k.vdi", status: 69, words: ["gzip -dc"]),
        Wrong(line: "odd.raw k.vdi", status: 65, words: ["truncate --size=%512"]),
        Wrong(line: "k.raw there.vdi", status: 73, words: ["there already", "--force"]),
        Wrong(line: "k.raw link.vdi --force", status: 73, words: ["no file"]),
        Wrong(line: "k.raw /dev/null --format raw --force", status: 73, words: ["no file"]),
        Wrong(line: "k.raw k.raw --force", status: 73, words: ["the image itself"]),
        Wrong(line: "over.qcow2 base.qcow2 --force", status: 73, words: ["or a part of it"]),
        Wrong(line: "k.raw nowhere/k.vdi", status: 73, words: ["nowhere"]),
        Wrong(line: "k.raw alien.vdi", status: 73, words: ["not ours"]),
        Wrong(
            line: "k.raw \(String(repeating: "n", count: 245)).vdi",
            status: 64,
            words: ["has 249 bytes, and may have 248", "shorter"]
        ),
        Wrong(
            line: "k.raw \(String(repeating: "n", count: 296)).vdi",
            status: 64,
            words: ["has 300 bytes, and may have 248"]
        ),
        Wrong(
            line: "k.raw \(String(repeating: "n", count: 237)).vmdk --subformat twoGbMaxExtentSparse",
            status: 64,
            words: ["may have 240"]
        ),
        Wrong(line: "k.raw a\"b.vmdk --subformat twoGbMaxExtentSparse", status: 64, words: ["quotation mark"]),
        Wrong(line: "k.raw a\nb.vmdk --subformat twoGbMaxExtentSparse", status: 64, words: ["line end"]),
        Wrong(
            line: "k.raw k.ova --hardware-version 12 --disk-controller nvme",
            status: 64,
            words: ["nvme takes hardware version 13", "the machine has 12"]
        ),
        Wrong(
            line: "k.raw k.ova --hardware-version 7 --firmware uefi",
            status: 64,
            words: ["takes hardware version 8"]
        ),
    ]

    @Test("say why and what to do, and touch nothing", arguments: wrong)
    func refused(item: Wrong) async throws {
        let folder = try ExportFolder(size: 1 << 20, data: [0..<4096])
        try await Program("bash", debianPackage: "bash").run(
            [
                "-euc",
                """
                head -c 1000 k.raw > odd.raw; gzip --keep --stdout k.raw > packed.raw.gz; echo mine > there.vdi
                ln -s k.raw link.vdi; mkdir -p .alien.vdi.part/folder
                qemu-img convert -f raw -O qcow2 k.raw base.qcow2
                qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
                """,
            ],
            workingDirectory: folder.folder.path
        )
        let before = try folder.names
        let sums = try await sums(folder)
        let outcome = try await Program(at: FlashlayerProgram.path).outcome(
            ["export"] + item.line.split(separator: " ").map(String.init),
            workingDirectory: folder.folder.path
        )
        #expect(outcome.status == item.status, "\(outcome.errors)")
        for word in item.words { #expect(outcome.errors.contains(word), "\(outcome.errors)") }
        #expect(try folder.names == before)
        #expect(try await self.sums(folder) == sums)
    }

    private func sums(_ folder: ExportFolder) async throws -> String {
        try await Program("bash", debianPackage: "bash").run(
            ["-euc", "sha256sum *"],
            workingDirectory: folder.folder.path
        )
    }

    @Test(
        "the longest names that are allowed do",
        arguments: [(244, "vdi", [String]()), (235, "vmdk", ["--subformat", "twoGbMaxExtentSparse"])]
    )
    func longest(stem: Int, ending: String, options: [String]) async throws {
        let folder = try ExportFolder(size: 1 << 20, data: [0..<4096])
        let name = "\(String(repeating: "n", count: stem)).\(ending)"
        for _ in 1...2 {
            let outcome = try await FlashlayerProgram.run(
                ["export", folder.image, folder.file(name), "--force"] + options
            )
            #expect(outcome.status == 0, "\(outcome.errors)")
        }
        #expect(try folder.names.contains(name))
    }

    @Test("a device is no image to export", .enabled(if: getuid() == 0, "loop devices need root"))
    func device() async throws {
        let folder = try ExportFolder(size: 1 << 20, data: [0..<4096])
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.run(["export", loop.path, folder.file("k.vdi")])
        #expect(outcome.status == 65 && outcome.errors.contains("is a device"), "\(outcome.errors)")
        let onto = try await FlashlayerProgram.run(["export", folder.image, loop.path, "--format", "raw", "--force"])
        #expect(onto.status == 73, "\(onto.errors)")
        #expect(try folder.names == ["k.raw"])
    }

    @Test("what is there is replaced by --force, whole, and belongs to who called sudo")
    func replaced() async throws {
        let folder = try ExportFolder(size: 1 << 20, data: [0..<4096])
        try folder.folder.write("mine", to: "k.vdi")
        try await folder.export("k.vdi", "--force")
        let wanted = "\(folder.size) \(try await folder.sha256(of: folder.image))"
        #expect(try await ExportFolder.content(of: folder.file("k.vdi"), .vdi, by: .dissect) == wanted)
        guard getuid() == 0 else { return }
        let outcome = try await FlashlayerProgram.run(
            ["export", folder.image, folder.file("k.vmdk"), "--subformat", "twoGbMaxExtentSparse"],
            environment: ["SUDO_UID": "4711", "SUDO_GID": "4712"]
        )
        #expect(outcome.status == 0)
        for name in try folder.names where name.hasSuffix(".vmdk") {
            var status = stat()
            #expect(unsafe stat(folder.file(name), &status) == 0 && status.st_uid == 4711 && status.st_gid == 4712)
        }
    }
}
