// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs
import TestSupport
import Testing

@testable import ImageExport

@Suite("Appliances")
struct ApplianceFileTests {
    private let folder: ExportFolder

    init() throws {
        folder = try ExportFolder()
    }

    /// What Python's own library finds in an appliance that keeps the rules.
    private func facts(_ name: String) async throws -> [String: String] {
        let script = "\(Checkout.root)/Tests/ImageExportTests/read-appliance.py"
        let text = try await Program(at: "/usr/bin/python3").run([script, folder.file(name), folder.folder.path])
        let pairs = text.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1).map(String.init) }
        return Dictionary(uniqueKeysWithValues: pairs.map { ($0[0], $0[1]) })
    }

    @Test("an ova is in order, its manifest right, its disk the image, and what nobody said has a sensible value")
    func plain() async throws {
        let answer = try await folder.export("k.ova", "--raw-sha256")
        let facts = try await facts("k.ova")
        let expected = [
            "capacity": "\(folder.size)", "name": "k", "type": "vmx-13", "cpus": "1", "memory": "1024",
            "controller": "6 lsilogic", "nic": "E1000", "firmware": "bios", "product": "k",
        ]
        #expect(facts.filter { $0.key != "populated" } == expected)
        let found = try await ExportFolder.content(of: folder.file("disk.vmdk"), .vmdk, by: .dissect)
        #expect(found == "\(folder.size) \(answer["rawSha256"]?.text ?? "")")
        #expect(try folder.names == ["disk.vmdk", "k.ova", "k.raw"])
    }

    @Test("the recipe's [vm], then the command line, say what machine it asks for, and virt-v2v takes it")
    func machine() async throws {
        try folder.folder.write(
            """
            name = "kiosk"
            version = "3.1"
            [vm]
            cpus = 2
            memory = "1536M"
            disk-controller = "sata"
            vendor = "A & B <\\"x\\">"
            [image]
            firmware = ["uefi"]
            """,
            to: "flashlayer.toml"
        )
        try await folder.export(
            "k.ova",
            "--project",
            folder.folder.path,
            "--cpus",
            "3",
            "--nic",
            "vmxnet3",
            "--hardware-version",
            "19"
        )
        let facts = try await facts("k.ova")
        let expected = [
            "name": "k", "type": "vmx-19", "cpus": "3", "memory": "1536", "controller": "20 vmware.sata.ahci",
            "nic": "VmxNet3", "firmware": "efi", "product": "kiosk", "version": "3.1", "vendor": "A & B <\"x\">",
        ]
        for (key, value) in expected { #expect(facts[key] == value, "\(key)") }
        let imported = try await Program("virt-v2v", debianPackage: "virt-v2v").outcome([
            "-i", "ova", folder.file("k.ova"), "--print-source",
        ])
        #expect(imported.status == 0, "\(imported.errors)")
        let lines = imported.output.split(separator: "\n").map {
            $0.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        }
        for line in [
            "source name: k", "memory: 1610612736 (bytes)", "nr vCPUs: 3", "firmware: uefi", "0 [sata]",
            "Bridge \"VM Network\" [vmxnet3]",
        ] {
            #expect(lines.contains { $0.hasPrefix(line) }, "\(line) in \(imported.output)")
        }
    }

    @Test("the description beside an image tells the machine as well")
    func description() async throws {
        try folder.folder.write(
            #"{"flashlayerVersion": "0.1.0", "vm": {"cpus": 7, "nic": "none", "product": "Lobby", "productVersion": "2"}}"#,
            to: "k.json"
        )
        try await folder.export("k.ova")
        let facts = try await facts("k.ova")
        #expect(
            facts["cpus"] == "7" && facts["nic"] == "none" && facts["product"] == "Lobby" && facts["version"] == "2"
        )
    }

    @Test("a box has a disk that QEMU knows, and says what it is")
    func box() async throws {
        try await folder.export("k.box", "--cpus", "2", "--memory", "2G")
        let script = """
            tar --extract --file k.box
            test "$(tar --list --file k.box | tr '\\n' ' ')" = 'metadata.json Vagrantfile box.img '
            python3 -c 'import json; print(sorted(json.load(open("metadata.json")).items()))'
            grep -x '    libvirt.cpus = 2' Vagrantfile
            grep -x '    libvirt.memory = 2048' Vagrantfile
            qemu-img compare -f qcow2 -F raw box.img k.raw
            """
        let output = try await Program("bash", debianPackage: "bash").run(
            ["-euc", script],
            workingDirectory: folder.folder.path
        )
        #expect(output.contains("[('format', 'qcow2'), ('provider', 'libvirt'), ('virtual_size', 1)]"))
    }

    @Test("a file of more than 8 GiB has a size that tar and Python read")
    func large() async throws {
        let size: UInt64 = 9 << 30 | 512
        let archive = folder.file("large.tar")
        let header = try ApplianceArchive.header("large.vmdk", size: size, modified: 1_000_000_000)
        try Data(header).write(to: URL(filePath: archive))
        try await Program("truncate", debianPackage: "coreutils").run(["--size", "\(size + 2048)", archive])
        let tar = try await Program("tar", debianPackage: "tar").run(["--list", "--verbose", "--file", archive])
        #expect(tar.split(separator: " ").contains("\(size)"), "\(tar)")
        let python = try await Program(at: "/usr/bin/python3").run([
            "-c", "import sys, tarfile; print(tarfile.open(sys.argv[1]).getmembers()[0].size)", archive,
        ])
        #expect(python == "\(size)\n")
        #expect(throws: FlashlayerError.self) {
            try ApplianceArchive.header(String(repeating: "n", count: 101), size: 1, modified: 0)
        }
    }
}
