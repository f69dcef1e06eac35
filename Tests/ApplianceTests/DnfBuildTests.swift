// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import ImageBuilder
import Layers
import Model
import Programs
import Resolution
import TestSupport
import Testing

extension FreshBuildTests {
    /// As osconfiglib's own examples are written.
    private static func recipe(_ url: String) -> String {
        """
        name = "Template-Python-Dev"
        version = "1.0.0"

        [layers]
        [[layer]]
        name = "custom"
        type = "git"
        url = "\(url)"
        branch_or_tag = "main"

        [[layer]]
        type = "local"
        name = "repository"
        """
    }

    /// The project upon a given disk, which osconfiglib's recipes do not name.
    private static func project(_ folder: TemporaryFolder, upon image: String, offline: Bool) async throws
        -> ResolvedProject
    {
        let resolved = try await TestProject.resolve(folder, lockUse: offline ? .require : .obey, isOffline: offline)
        var plan = resolved.plan
        plan.base = .image(path: image, sha256: nil)
        // The rig has no table of partitions.
        plan.image.grow = false
        return ResolvedProject(plan, lock: resolved.lock, lockUse: resolved.lockUse, isOffline: offline)
    }

    @Test("os-layer-template and an osconfiglib recipe build as they are upon dnf, and again without the network")
    func dnfGuest() async throws {
        let guest = try await DnfGuest.make()
        let server = try await FileServer(guest.repository)
        let folder = try TemporaryFolder()
        try folder.write(Self.recipe(try await TestProject.templateRepository(in: folder)), to: "flashlayer.toml")
        for (path, text) in try DnfMachine.repositoryFiles(guest, server.addressForAppliance) {
            try folder.write(text, to: "layers/repository/configs/\(path)")
        }
        try folder.write("tool-1.0\nnew-editor\n-editor\n-manual\n", to: "layers/repository/packages/rpms.txt")
        let cache = Cache(path: folder.file("cache"))
        let output = ImageOutput(path: folder.file("dnf.raw"), format: .raw)
        let first = try await ImageBuild(
            try await Self.project(folder, upon: guest.image, offline: false),
            output: output,
            cache: cache
        ).run { _ in }
        let names = first.packages.filter { $0.format == .rpm }.map { "\($0.name)-\($0.version)" }
        #expect(names == ["fedora-release-40-1", "jq-1.7-1", "library-1.5-1", "new-editor-1.0-1", "tool-1.0-1"])
        #expect(first.packages.contains { $0.format == .pypi && $0.name == "six" && $0.version == "1.16.0" })
        try await expectTemplate(in: first.image)

        let lock = try LockFile(in: folder.path, variant: nil).build
        #expect(lock.packages?.packages.map(\.name) == ["jq", "library", "new-editor", "tool"])
        let digest = try await Program("sha256sum", debianPackage: "coreutils").run([
            "\(guest.repository)/tool-1.0-1.noarch.rpm"
        ])
        #expect(lock.packages?.packages.last.map { digest.hasPrefix($0.sha256) } == true)
        #expect(lock.python?.packages.map(\.file) == ["six-1.16.0-py2.py3-none-any.whl"])

        await server.stop()
        let events = Events()
        let second = try await ImageBuild(
            try await Self.project(folder, upon: guest.image, offline: true),
            output: output,
            cache: cache,
            refresh: [.packages]
        ).run { events.append($0) }
        #expect(second.packages == first.packages)
        #expect(try LockFile(in: folder.path, variant: nil).build == lock)
        #expect(events.all.contains { if case .finished(.packages, _) = $0 { true } else { false } })
        try await expectTemplate(in: second.image)
    }

    /// As debugfs(8) reads it: the disk is one file system.
    private func expectTemplate(in image: String) async throws {
        let debugfs = try Program("debugfs", debianPackage: "e2fsprogs")
        func ask(_ request: String) async throws -> String { try await debugfs.run(["-R", request, image]) }
        #expect(try await ask("cat /etc/custom-result") == "hello from the lobby\njq\nos-base 1\n")
        #expect(try await ask("stat /bin").contains("Type: symlink"))
        #expect(try await ask("stat /usr/bin/custom-executable").contains("Mode:  0755"))
        #expect(try await ask("stat /usr/local/bin/symlink-to-something").contains("../../../bin/custom-executable"))
        #expect(try await ask("cat /etc/environment").contains("CUSTOM_SITE=\"the lobby\"\n"))
        #expect(try await !ask("ls /var/cache/dnf").contains("rig"))
        #expect(try await ask("cat /etc/yum.repos.d/rig.repo").contains("[rig]"))
        let packages = "/opt/Template-Python-Dev/venv/lib/python3.11/site-packages"
        #expect(try await ask("ls \(packages)").contains("six.py"))
    }
}
