// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs
import TestSupport
import Testing

@Suite("What is exported, read by others")
struct ProofTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        var options: [String] = []
        let format: ExportFormat
        let judges: [Judge]
        var testDescription: String { ([name] + options).joined(separator: " ") }
    }

    private static let cases = [
        Case(name: "k.vdi", format: .vdi, judges: [.dissect]),
        Case(name: "k.vdi", options: ["--subformat", "fixed"], format: .vdi, judges: [.dissect]),
        Case(name: "k.vmdk", format: .vmdk, judges: [.dissect, .libyal]),
        Case(
            name: "k.vmdk",
            options: ["--subformat", "streamOptimized"],
            format: .vmdk,
            judges: [.dissect, .libyal]
        ),
        Case(
            name: "k.vmdk",
            options: ["--subformat", "twoGbMaxExtentSparse"],
            format: .vmdk,
            judges: [.dissect, .libyal]
        ),
        Case(name: "k.vhdx", format: .vhdx, judges: [.dissect, .libyal]),
        Case(name: "k.vhdx", options: ["--subformat", "fixed"], format: .vhdx, judges: [.dissect, .libyal]),
        Case(name: "k.vhd", format: .vpc, judges: [.libyal]),
        Case(name: "k.vhd", options: ["--subformat", "fixed"], format: .vpc, judges: [.libyal]),
    ]

    @Test("is the same disk to a reader that is not QEMU, every byte of it and no byte more", arguments: cases)
    func content(item: Case) async throws {
        let folder = try ExportFolder()
        let outcome = try await FlashlayerProgram.run(
            ["export", folder.image, folder.file(item.name), "-q"] + item.options
        )
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
        let wanted = "\(folder.size) \(try await folder.sha256(of: folder.image))"
        for judge in item.judges {
            let found = try await ExportFolder.content(of: folder.file(item.name), item.format, by: judge)
            #expect(found == wanted, "\(judge)")
        }
    }

    @Test("an image that ends with a lone sector does so in every format", arguments: ["k.vmdk", "k.vhdx", "k.vhd"])
    func lastSector(name: String) async throws {
        let size: UInt64 = 3 << 20 | 512 * 7
        let folder = try ExportFolder(size: size, data: [0..<4096, size - 512..<size])
        let answer = try await folder.export(name, "--raw-sha256")
        let format = try #require(ExportFormat(nameOf: name))
        let found = try await ExportFolder.content(of: folder.file(name), format, by: .libyal)
        #expect(found == "\(size) \(try await folder.sha256(of: folder.image))")
        #expect(found.hasSuffix(answer["rawSha256"]?.text ?? "-"))
    }

    @Test("a vmdk of two parts is the same disk, across the end of the first")
    func parts() async throws {
        let seam: UInt64 = 2047 << 20
        let folder = try ExportFolder(
            size: 2100 << 20,
            data: [0..<4096, seam - 70_000..<seam + 70_000, (2100 << 20) - 4096..<(2100 << 20)]
        )
        let answer = try await folder.export("k.vmdk", "--subformat", "twoGbMaxExtentSparse")
        guard case .array(let files)? = answer["files"] else {
            Issue.record("the files are told")
            return
        }
        #expect(files.count == 3, "a description and two parts")
        let found = try await ExportFolder.content(of: folder.file("k.vmdk"), .vmdk, by: .libyal)
        #expect(found == "\(folder.size) \(try await folder.sha256(of: folder.image))")
    }

    @Test("raw is the image byte for byte, whatever its size, and its holes take no room; qcow2 is what QEMU compares")
    func plain() async throws {
        let folder = try ExportFolder(size: 20 << 20 | 100, data: [0..<5000, (20 << 20)..<(20 << 20 | 100)])
        let answer = try await folder.export("copy.img")
        #expect(try TestImage.bytes(of: folder.file("copy.img")) == TestImage.bytes(of: folder.image))
        #expect(answer["storedSize"]?.number ?? 1e9 < 1e6)
        let whole = try ExportFolder()
        for options in [[], ["--compress"]] {
            _ = try await FlashlayerProgram.run(["export", whole.image, whole.file("k.qcow2"), "--force"] + options)
            let compare = ["compare", "-f", "raw", "-F", "qcow2", whole.image, whole.file("k.qcow2")]
            #expect(try await Program("qemu-img", debianPackage: "qemu-utils").outcome(compare).status == 0)
        }
    }

    @Test("a terminal shows how far it is, and standard output stays for the answer")
    func terminal() async throws {
        let folder = try ExportFolder(size: 1 << 20, data: [0..<4096])
        // script(1) gives it a terminal; a pipe takes its standard output.
        let shown = try await FlashlayerProgram.script(
            "export folder=$1; script -qec '\"$flashlayer\" export \"$folder/k.raw\" \"$folder/k.vdi\" --json > \"$folder/answer\"' /dev/null",
            arguments: [folder.folder.path]
        )
        #expect(shown.status == 0, "\(shown.output)")
        #expect(shown.output.contains("write ") && shown.output.contains("verify ") && shown.output.contains("%"))
        let answer = try String(contentsOfFile: folder.file("answer"), encoding: .utf8)
        #expect(answer.hasPrefix("{") && answer.contains("\"imageDigest\""), "\(answer)")
    }

    @Test("an image of any format is read, and raw content that looks like another format stays what it is")
    func sources() async throws {
        let folder = try ExportFolder()
        let digest = try await folder.export("a.qcow2")["imageDigest"]?.text
        for (from, to) in [("a.qcow2", "b.vmdk"), ("b.vmdk", "c.vdi"), ("c.vdi", "d.vhd"), ("d.vhd", "e.vhdx")] {
            let outcome = try await FlashlayerProgram.run(["export", folder.file(from), folder.file(to)])
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.errors.contains(digest ?? "-"))
        }
        // A disk that holds the first bytes of a vmdk, within a qcow2.
        try await Program("bash", debianPackage: "bash").run(
            [
                "-euc",
                "head -c 1M b.vmdk > inner; truncate -s 2M inner; qemu-img convert -f raw -O qcow2 inner outer.qcow2",
            ],
            workingDirectory: folder.folder.path
        )
        let outcome = try await FlashlayerProgram.run(["export", folder.file("outer.qcow2"), folder.file("flat.raw")])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try TestImage.bytes(of: folder.file("flat.raw")) == TestImage.bytes(of: folder.file("inner")))
    }
}
