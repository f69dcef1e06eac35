// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Programs
import Resolution
import TestSupport
import Testing

/// With git itself, and repositories that lie in a folder.
@Suite("Layers from git")
struct GitLayerTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func git(_ arguments: String...) async throws -> String {
        let settings = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]
        let output = try await Program("git", debianPackage: "git").run(settings + arguments)
        return String(output.prefix { !$0.isNewline })
    }

    /// A repository with a commit that brings /etc/motd.
    private func makeRepository(_ name: String, _ text: String) async throws {
        let path = folder.file(name)
        _ = try await git("init", "--quiet", "--initial-branch=main", path)
        _ = try await commit(name, text)
    }

    private func commit(_ name: String, _ text: String) async throws -> String {
        try folder.write(text, to: "\(name)/configs/etc/motd")
        _ = try await git("-C", folder.file(name), "add", "--all")
        _ = try await git("-C", folder.file(name), "commit", "--quiet", "-m", "x")
        return try await git("-C", folder.file(name), "rev-parse", "HEAD")
    }

    private func recipe(_ url: String, _ ref: String? = nil) throws {
        let ref = ref.map { "branch_or_tag = \"\($0)\"\n" } ?? ""
        try folder.write(
            "name = \"x\"\n[[layer]]\ntype = \"git\"\nurl = \"\(url)\"\n\(ref)",
            to: "p/flashlayer.toml"
        )
    }

    private func resolve(_ lockUse: LockUse = .obey, isOffline: Bool = false) async throws -> ResolvedProject {
        let cache = Cache(path: folder.file("cache"))
        return try await ProjectResolver(cache: cache).resolve(
            ProjectRequest(.recipe(path: folder.file("p")), lockUse: lockUse, isOffline: isOffline)
        )
    }

    private func motd(_ project: ResolvedProject) throws -> String {
        let path = try #require(project.plan.layers.first?.path)
        return try String(contentsOfFile: "\(path)/configs/etc/motd", encoding: .utf8)
    }

    @Test("a branch, a tag and a commit are what git says they are, and the layer goes by the repository's name")
    func refs() async throws {
        try await makeRepository("os-one.git", "first")
        let first = try await git("-C", folder.file("os-one.git"), "rev-parse", "HEAD")
        _ = try await git("-C", folder.file("os-one.git"), "tag", "-a", "v1", "-m", "v1")
        let second = try await commit("os-one.git", "second")
        for (ref, commit, text) in [
            (nil, second, "second"), ("main", second, "second"), ("v1", first, "first"), (first, first, "first"),
            (String(first.prefix(10)), first, "first"),
        ] {
            try recipe("file://\(folder.file("os-one.git"))", ref)
            let project = try await resolve(.renew)
            #expect(project.plan.layers.map(\.name) == ["os-one"])
            #expect(project.plan.layers.first?.source.hasSuffix("#\(commit)") == true)
            #expect(project.lock?.build.layers.map(\.commit) == [commit])
            #expect(try motd(project) == text)
        }
    }

    @Test("the lock holds a commit until it is renewed, and the cache has it when nothing can be fetched")
    func locked() async throws {
        try await makeRepository("r", "first")
        try recipe("../r", "main")
        var project = try await resolve()
        #expect(try motd(project) == "first")
        #expect(try project.lock?.save() == true)
        _ = try await commit("r", "second")
        #expect(try motd(try await resolve()) == "first")
        try FileManager.default.moveItem(atPath: folder.file("r"), toPath: folder.file("away"))
        #expect(try motd(try await resolve(.require, isOffline: true)) == "first")
        try FileManager.default.moveItem(atPath: folder.file("away"), toPath: folder.file("r"))
        project = try await resolve(.renew)
        #expect(try motd(project) == "second")
    }

    @Test("submodules come along, also those that are named relative to the repository")
    func submodules() async throws {
        try await makeRepository("sub", "of the submodule")
        try await makeRepository("r", "of the repository")
        _ = try await git("-C", folder.file("r"), "submodule", "--quiet", "add", "../sub", "configs/opt/sub")
        _ = try await git("-C", folder.file("r"), "commit", "--quiet", "-m", "submodule")
        try recipe("file://\(folder.file("r"))")
        let path = try #require(try await resolve().plan.layers.first?.path)
        let text = try String(contentsOfFile: "\(path)/configs/opt/sub/configs/etc/motd", encoding: .utf8)
        #expect(text == "of the submodule")
    }

    @Test("what cannot be had is told with the recipe's line", arguments: [false, true])
    func failures(isOffline: Bool) async throws {
        try await makeRepository("r", "x")
        try recipe("file://\(folder.file("r"))", "mian")
        let missing = await #expect(throws: FlashlayerError.self) { _ = try await resolve(isOffline: isOffline) }
        #expect(missing?.code == (isOffline ? .unavailable : .layerMissing))
        #expect(missing?.message.contains("flashlayer.toml:2: ") == true)
        if !isOffline { #expect(missing?.message.contains("did you mean 'main'?") == true) }
        for (ref, hint) in [("origin/main", "did you mean 'main'?"), ("HEAD", "commit 'HEAD'\n")] {
            try recipe("file://\(folder.file("r"))", ref)
            let missing = await #expect(throws: FlashlayerError.self) { _ = try await resolve(isOffline: isOffline) }
            if !isOffline {
                #expect(missing?.description.contains(hint) == true, "\(ref): \(missing?.description ?? "")")
            }
        }
        try recipe("file://\(folder.file("nowhere"))")
        let nowhere = await #expect(throws: FlashlayerError.self) { _ = try await resolve(isOffline: isOffline) }
        #expect(nowhere?.code == .unavailable)
        if !isOffline {
            #expect(nowhere?.advice?.hasSuffix(": git ls-remote 'file://\(folder.file("nowhere"))'") == true)
        }
        let unlocked = await #expect(throws: FlashlayerError.self) { _ = try await resolve(.require) }
        #expect(unlocked?.code == .lockDrift)
    }
}
