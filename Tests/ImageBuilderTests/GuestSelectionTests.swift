// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Resolution
import TestSupport
import Testing

@testable import ImageBuilder

@Suite("What the guest's own package managers are asked for")
struct GuestSelectionTests {
    private static let guest = GuestFacts(
        distribution: "fedora",
        version: "40",
        product: "Fedora",
        architecture: "x86_64",
        packageFormat: "rpm",
        packageManager: "dnf",
        mounts: []
    )

    private static func project(
        _ folder: TemporaryFolder,
        packages: String,
        lock: LockFile?,
        use: LockUse = .obey
    ) throws -> ResolvedProject {
        try folder.write("name = \"a\"\n[[layer]]\ntype = \"local\"\npath = \"layers/one\"\n", to: "flashlayer.toml")
        try folder.write(packages, to: "layers/one/packages/rpms.txt")
        try folder.write("six\n", to: "layers/one/packages/python.txt")
        return ResolvedProject(try Plan(.recipe(path: folder.path)), lock: lock, lockUse: use)
    }

    private static func selection(_ project: ResolvedProject, base: String = "base") throws -> GuestSelection {
        try GuestSelection(project, guest: guest, baseIdentity: base)
    }

    /// What a build of the guest leaves behind.
    private static func answers(_ folder: TemporaryFolder) throws -> String {
        let digest = String(repeating: "a", count: 64)
        try folder.write("tool\t1:2.0-1\tnoarch\t\(digest)\ttool-2.0-1.noarch.rpm\n", to: "answers/rpms.resolved")
        try folder.write(
            "six\t1.16.0\tany\t\(digest)\tsix-1.16.0-py2.py3-none-any.whl\n",
            to: "answers/wheels.resolved"
        )
        return folder.file("answers")
    }

    private static func files(_ steps: [GuestStep]) -> [String: String] {
        var files: [String: String] = [:]
        for case .write(let path, let contents, _) in steps { files[path] = contents }
        return files
    }

    @Test("what they chose once is asked for to the letter, until something else is asked for")
    func lock() throws {
        let folder = try TemporaryFolder()
        var lock: LockFile? = try LockFile(in: folder.path, variant: nil)
        let first = try Self.project(folder, packages: "tool\n", lock: lock)
        let open = try Self.selection(first)
        #expect(open.isNeeded && open.isOpen)
        #expect(Self.files(try open.install(first.plan, for: Self.guest)).keys.allSatisfy { !$0.hasSuffix("/locked") })

        let answered = try open.answered(from: try Self.answers(folder))
        #expect(!answered.isOpen)
        answered.write(into: &lock)
        let second = try Self.project(folder, packages: "# the same\ntool\n", lock: lock)
        let locked = try Self.selection(second)
        #expect(!locked.isOpen)
        #expect(locked.ingredients == answered.ingredients && locked.ingredients != open.ingredients)
        let files = Self.files(try locked.install(second.plan, for: Self.guest))
        let answer = try String(contentsOfFile: folder.file("answers/rpms.resolved"), encoding: .utf8)
        #expect(files["/run/flashlayer/rpm/locked"] == answer)
        #expect(files["/run/flashlayer/pip/locked"]?.hasPrefix("six\t1.16.0\t") == true)

        let other = try Self.selection(try Self.project(folder, packages: "tool\nmore\n", lock: lock))
        #expect(other.doubt == "package more is new")
        #expect(try Self.selection(second, base: "another").doubt == "the base changed")
        #expect(try Self.selection(try Self.project(folder, packages: "tool\n", lock: lock, use: .renew)).isOpen)
    }

    @Test("where all must be locked, what is not is an error")
    func require() throws {
        let folder = try TemporaryFolder()
        let lock = try LockFile(in: folder.path, variant: nil)
        let selection = try Self.selection(try Self.project(folder, packages: "tool\n", lock: lock, use: .require))
        let error = #expect(throws: FlashlayerError.self) { try selection.confirm(.require) }
        #expect(error?.code == .lockDrift)
    }

    @Test("where nobody keeps a lock, what is asked for is all that a checkpoint is known by")
    func forgotten() throws {
        let folder = try TemporaryFolder()
        let selection = try Self.selection(try Self.project(folder, packages: "tool\n", lock: nil))
        #expect(selection.isNeeded && !selection.isOpen && selection.ingredients.isEmpty)
    }

    @Test("a guest with Debian packages is asked for wheels alone")
    func debian() throws {
        let folder = try TemporaryFolder()
        let project = try Self.project(folder, packages: "tool\n", lock: nil)
        var guest = Self.guest
        (guest.packageFormat, guest.packageManager) = ("deb", "apt")
        let selection = try GuestSelection(project, guest: guest, baseIdentity: "base")
        let paths = Self.files(try selection.install(project.plan, for: guest)).keys
        #expect(paths.contains("/run/flashlayer/pip/requirements.txt"))
        #expect(!paths.contains { $0.contains("/rpm/") })
    }

    @Test("a line of the guest that is none is not taken for a package", arguments: ["", "a\tb\tc", "a\tb\tc\t00\tf"])
    func malformed(_ line: Substring) {
        #expect(LockedPackage(guestLine: line) == nil)
    }
}
