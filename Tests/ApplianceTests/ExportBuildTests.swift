// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import ImageBuilder
import Model
import Programs
import TestSupport
import Testing

@Suite("What a build makes of its image", .serialized, .enabled(if: getuid() == 0, "bootstrapping needs root"))
struct ExportBuildTests {
    private static let formats = ["vdi", "vmdk", "vhdx"]

    @Test("every output that the recipe names is the image, by the word of others, and vmdk, vdi and vhdx boot")
    func outputs() async throws {
        let built = try await Fixture.shared.built()
        // The same project, of which nothing is to be built any more.
        let recipe = try String(contentsOfFile: built.folder.file("flashlayer.toml"), encoding: .utf8)
        let outputs = "outputs = [\"raw\", \"qcow2\", \"vdi\", \"vmdk\", \"vhdx\", \"ova\", \"packer\", \"script\"]\n"
        try built.folder.write(outputs + recipe + "\n[vm]\ncpus = 2\n", to: "everything.toml")
        let outcome = try await FlashlayerProgram.run([
            "build", built.folder.file("everything.toml"), "--all", "-o", built.folder.file("all/all.qcow2"),
        ])
        #expect(outcome.status == 73, "there is no such folder: \(outcome.errors)")
        try FileManager.default.createDirectory(
            atPath: built.folder.file("all"),
            withIntermediateDirectories: false
        )
        defer { try? FileManager.default.removeItem(atPath: built.folder.file("all")) }
        let done = try await FlashlayerProgram.run([
            "build", built.folder.file("everything.toml"), "--all", "-o", built.folder.file("all/all.qcow2"),
        ])
        #expect(done.status == 0, "\(done.errors)")
        let paths = ["qcow2", "raw", "vdi", "vmdk", "vhdx", "ova"].map { built.folder.file("all/all.\($0)") }
        let folders = ["packer", "script"].map { built.folder.file("all/all-\($0)") }
        #expect(done.output.split(separator: "\n").map(String.init) == paths + folders)
        #expect(!done.errors.contains("to do"), "all of it comes from the cache: \(done.errors)")

        let digest = try await Program("python3", debianPackage: "python3").run([
            "-c", "import hashlib, sys; print(hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256').hexdigest())",
            built.folder.file("all/all.raw"),
        ])
        #expect(digest.hasPrefix(built.result.rawSha256.hex))
        let script = "\(Checkout.root)/Tests/ImageExportTests/read-disk.py"
        let judge = Program(at: "/opt/flashlayer-judges/bin/python")
        for format in Self.formats {
            let path = built.folder.file("all/all.\(format)")
            let found = try await judge.run([script, "dissect", format, path])
            #expect(found == "\(built.result.size) \(built.result.rawSha256.hex)\n", "\(format)")
        }
        // The layers as a shell script and as a template, which other tests run.
        for folder in folders {
            let sums = try await Program("sha256sum", debianPackage: "coreutils").outcome(
                ["--check", "--strict", "SHA256SUMS"],
                workingDirectory: folder
            )
            #expect(sums.status == 0, "\(sums.output)\(sums.errors)")
        }
        try await Program("sh", debianPackage: "dash").run(["-n", "\(folders[1])/install.sh"])
        let template = try FileManager.default.contentsOfDirectory(atPath: folders[0]).filter {
            $0.hasSuffix(".pkr.hcl")
        }
        #expect(template.sorted() == ["plugins.pkr.hcl", "tested.pkr.hcl"])
        try await boot(Self.formats.map { ($0, built.folder.file("all/all.\($0)")) }, built.folder)
    }

    /// Boots disks, each as a throwaway, until its console asks who is there. One after the other: machines that are
    /// emulated beside each other are slow enough for what they start to run into its time limits.
    private func boot(_ disks: [(format: String, path: String)], _ folder: TemporaryFolder) async throws {
        let script = """
            qemu-system-x86_64 -machine q35,accel=tcg -cpu max -m 512 -nodefaults -no-user-config \\
                -display none -no-reboot -serial "file:$3" -net none \\
                -drive "file=$2,format=$1,if=virtio,snapshot=on,cache=unsafe" &
            machine=$!
            # Half an hour: others are emulated beside it.
            for turn in $(seq 3600); do
                grep -q 'login:' "$3" 2> /dev/null && found=yes && break
                kill -0 $machine 2> /dev/null || break
                sleep 0.5
            done
            kill $machine 2> /dev/null
            wait $machine
            [ "$found" = yes ] || { tail -c 1500 "$3"; exit 1; }
            """
        for disk in disks {
            let outcome = try await Program("bash", debianPackage: "bash").outcome(
                ["-c", script, "bash", disk.format, disk.path, folder.file("all/\(disk.format).console")],
                environment: ["TMPDIR": folder.path]
            )
            #expect(outcome.status == 0, "\(disk.format): \(outcome.output)\(outcome.errors)")
        }
    }
}
