// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Resolution
import TestSupport
import Testing

@Suite("flashlayer.lock")
struct LockFileTests {
    private static let package = LockedPackage(
        name: "jq",
        version: "1:1.6-2.1",
        architecture: "amd64",
        sha256: String(repeating: "a", count: 64),
        file: "jq_1%3a1.6-2.1_amd64.deb"
    )

    private static func selection(_ names: [String]) -> BuildLock.Selection {
        BuildLock.Selection(request: names.map { Ingredient("package \($0)", "deb") }, packages: [package])
    }

    @Test("keeps what each variant was resolved to, a package a line, and is written only when something changed")
    func roundTrip() throws {
        let folder = try TemporaryFolder()
        var lock = try LockFile(in: folder.path, variant: nil)
        #expect(!lock.isPresent)
        lock.build.packages = Self.selection(["jq"])
        #expect(try lock.save())
        var other = try LockFile(in: folder.path, variant: "lab")
        #expect(other.isPresent && other.build == BuildLock())
        other.build.base = .init(image: "b.raw", sha256: "b")
        #expect(try other.save())
        let again = try LockFile(in: folder.path, variant: nil)
        #expect(again.build.packages == Self.selection(["jq"]))
        #expect(try !again.save())
        let text = try String(contentsOfFile: folder.file("flashlayer.lock"), encoding: .utf8)
        #expect(
            text.contains(
                "\"jq 1:1.6-2.1 amd64 \(String(repeating: "a", count: 64)) jq_1%3a1.6-2.1_amd64.deb\"\n"
            )
        )
    }

    @Test(
        "a damaged lock is told with what is wrong, and how to get another",
        arguments: [
            ("", "flashlayer.lock is damaged"), ("{\"version\": 1", "flashlayer.lock is damaged"),
            ("{\"version\": 2}", "later flashlayer (format 2)"), ("{}", "'version' is missing"),
            (
                "{\"version\": 1, \"builds\": {\"default\": {\"layers\": [], \"packages\": {\"request\": {}, \"packages\": [\"x\"]}}}}",
                "a package is 'NAME VERSION ARCHITECTURE SHA256 FILE' in builds / default / packages / packages / element 1"
            ),
            (
                "{\"version\": 1, \"builds\": {\"default\": {\"layers\": [], \"packages\": {\"request\": {}, "
                    + "\"packages\": [\"jq 1 all \(String(repeating: "a", count: 64)) ../../x\"]}}}}",
                "a package is"
            ),
        ]
    )
    func damaged(text: String, words: String) throws {
        let folder = try TemporaryFolder()
        try folder.write(text, to: "flashlayer.lock")
        let error = #expect(throws: FlashlayerError.self) { try LockFile(in: folder.path, variant: nil) }
        #expect(error?.code == .badRecipe)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        #expect(error?.advice?.contains("flashlayer update") == true)
    }

    @Test("what is damaged is replaced when everything is resolved anew")
    func replaced() throws {
        let folder = try TemporaryFolder()
        try folder.write("{", to: "flashlayer.lock")
        var lock = try LockFile(in: folder.path, variant: nil, replacingDamaged: true)
        #expect(!lock.isPresent)
        lock.build.packages = Self.selection(["jq"])
        try lock.save()
        #expect(try LockFile(in: folder.path, variant: nil).build.packages == Self.selection(["jq"]))
    }

    @Test("two variants that are resolved at once are both pinned")
    func variantsAtOnce() async throws {
        let folder = try TemporaryFolder()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<16 {
                group.addTask {
                    var lock = try LockFile(in: folder.path, variant: "v\(number)")
                    lock.build.base = .init(image: "\(number)", sha256: "\(number)")
                    try lock.save()
                }
            }
            try await group.waitForAll()
        }
        for number in 0..<16 {
            #expect(try LockFile(in: folder.path, variant: "v\(number)").build.base?.image == "\(number)")
        }
    }

    @Test("says what does not fit any more")
    func drift() {
        let locked = Self.selection(["jq", "nano"])
        func drift(_ names: [String]) -> String? {
            locked.drift(from: names.map { Ingredient("package \($0)", "deb") })
        }
        #expect(drift(["nano", "jq"]) == nil)
        #expect(drift(["jq", "vim"]) == "package vim is new, package nano is gone")
    }
}
