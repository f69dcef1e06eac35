// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import ImageBuilder
import Programs
import TestSupport
import Testing

@Suite("The inventory of a built image", .serialized, .enabled(if: getuid() == 0, "bootstrapping needs root"))
struct InventoryBuildTests {
    @Test("has every package that the image's own dpkg has, in its version, and is valid for the SPDX project's tools")
    func inventory() async throws {
        let built = try await Fixture.shared.built()
        let file = built.folder.file("tested.spdx.json")
        let document = try JSONDecoder().decode(JSONValue.self, from: try Data(contentsOf: URL(filePath: file)))
        guard case .array(let packages)? = document["packages"] else {
            Issue.record("packages is a list")
            return
        }
        let listed = packages.dropFirst().compactMap { package -> String? in
            guard let name = package["name"]?.text, let version = package["versionInfo"]?.text else { return nil }
            // What pip installed is none of dpkg's.
            guard case .array(let references)? = package["externalRefs"],
                references.contains(where: { $0["referenceLocator"]?.text?.hasPrefix("pkg:deb/") == true })
            else { return nil }
            return "\(name) \(version)"
        }
        #expect(try await listed.sorted() == installed(in: built.result.image, built.folder).sorted())
        let judge = "/opt/flashlayer-judges/bin/pyspdxtools"
        try #require(Program.isExecutable(judge), "make deps installs it")
        let outcome = try await Program(at: judge).outcome(["--infile", file, "--version", "SPDX-2.3"])
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
    }

    /// As dpkg's own file says, which debugfs(8) reads without mounting or booting.
    private func installed(in image: String, _ folder: TemporaryFolder) async throws -> [String] {
        let raw = folder.file("inventory.raw")
        defer { unsafe unlink(raw) }
        try await Program("qemu-img", debianPackage: "qemu-utils").run(["convert", "-O", "raw", image, raw])
        let status = try await Program("debugfs", debianPackage: "e2fsprogs").run([
            "-R", "cat /var/lib/dpkg/status", "\(raw)?offset=\(66 << 20)",
        ])
        var packages: [String] = []
        var name = ""
        var isInstalled = false
        for line in status.split(separator: "\n") {
            if line.hasPrefix("Package: ") { (name, isInstalled) = (String(line.dropFirst(9)), false) }
            if line == "Status: install ok installed" { isInstalled = true }
            if line.hasPrefix("Version: "), isInstalled { packages.append("\(name) \(line.dropFirst(9))") }
        }
        return packages
    }
}
