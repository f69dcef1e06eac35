// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import TestSupport
import Testing

@testable import ImageExport

@Suite("The folder in which an output is made")
struct StagingFolderTests {
    private let folder: TemporaryFolder
    private let output: String

    init() throws {
        folder = try TemporaryFolder()
        output = folder.file("k.vmdk")
    }

    private var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
    }

    private func description(_ parts: String...) -> String {
        "# Disk DescriptorFile\n" + parts.map { "RW 2048 SPARSE \"\($0)\"\n" }.joined()
    }

    private func make(_ parts: [String], replaces: Bool = true) throws {
        let staging = try StagingFolder(beside: output)
        defer { staging.remove() }
        let name = staging.uniqueName()
        for part in parts { try folder.write(part, to: ".k.vmdk.part/\(part)") }
        let text = parts.map { "RW 2048 SPARSE \"\($0)\"\n" }.joined()
        try folder.write("# Disk DescriptorFile\n" + text, to: ".k.vmdk.part/\(name)")
        try staging.putInPlace(name, parts: parts, replaces: replaces)
    }

    @Test("a new description takes the place of the old one, and the old one's parts go, but nobody else's")
    func replaced() throws {
        try folder.write("not ours", to: "k-s001.vmdk")
        try folder.write("not ours", to: "k-0badcafe-s001.vmdk")
        try make(["k-11111111-s001.vmdk", "k-11111111-s002.vmdk"])
        #expect(
            try names == [
                "k-0badcafe-s001.vmdk", "k-11111111-s001.vmdk", "k-11111111-s002.vmdk", "k-s001.vmdk", "k.vmdk",
            ]
        )
        try make(["k-22222222-s001.vmdk"])
        #expect(try names == ["k-0badcafe-s001.vmdk", "k-22222222-s001.vmdk", "k-s001.vmdk", "k.vmdk"])
        // An old description of other hands may name anything.
        try folder.write(description("k-s001.vmdk", "../elsewhere", "/etc/passwd"), to: "k.vmdk")
        try make([])
        #expect(try names.contains("k-s001.vmdk"))
    }

    @Test("a folder of that name that is another user's is left alone", .enabled(if: geteuid() == 0, "needs root"))
    func foreign() throws {
        try folder.write("theirs", to: ".k.vmdk.part/file")
        try #require(unsafe chown(folder.file(".k.vmdk.part"), 65534, 65534) == 0)
        let error = #expect(throws: FlashlayerError.self) { try make(["k-11111111-s001.vmdk"]) }
        #expect(error?.code == .cannotCreate)
        #expect(FileManager.default.fileExists(atPath: folder.file(".k.vmdk.part/file")))
    }

    @Test("a folder of that name that somebody has made is left alone, with what is in it")
    func alien() throws {
        try folder.write("precious", to: ".k.vmdk.part/thesis")
        let error = #expect(throws: FlashlayerError.self) { try make(["k-11111111-s001.vmdk"]) }
        #expect(error?.code == .cannotCreate)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file(".k.vmdk.part")) == ["thesis"])
    }

    @Test("an output has the mode and the owner of what it takes the place of")
    func modes() throws {
        try folder.write("old", to: "k.vmdk", mode: 0o600)
        if geteuid() == 0 { try #require(unsafe chown(output, 1000, 1000) == 0) }
        try make([])
        var status = stat()
        try #require(unsafe stat(output, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(geteuid() != 0 || (status.st_uid == 1000 && status.st_gid == 1000))
    }

    @Test("parts that a killed process had moved go with the next one, unless the output refers to them")
    func recovered() throws {
        try folder.write(description("k-11111111-s001.vmdk"), to: "k.vmdk")
        for name in ["k-11111111-s001.vmdk", "k-22222222-s001.vmdk", "k-33333333-s001.vmdk", "precious"] {
            try folder.write("x", to: name)
        }
        try folder.write("x", to: ".k.vmdk.part/k-22222222.vmdk")
        try folder.write(
            "k-11111111-s001.vmdk\nk-22222222-s001.vmdk\nprecious\n../\(folder.path.split(separator: "/").last ?? "")\n",
            to: ".k.vmdk.part/.k.vmdk.moved"
        )
        try #require(unsafe chmod(folder.file(".k.vmdk.part"), 0o1700) == 0)
        let staging = try StagingFolder(beside: output)
        #expect(
            try names == [
                ".k.vmdk.part", "k-11111111-s001.vmdk", "k-33333333-s001.vmdk", "k.vmdk", "precious",
            ]
        )
        #expect(try FileManager.default.contentsOfDirectory(atPath: staging.path).isEmpty)
        staging.remove()
        #expect(try !names.contains(".k.vmdk.part"))
    }

    @Test("only one at a time has it")
    func held() throws {
        let staging = try StagingFolder(beside: output)
        let error = #expect(throws: FlashlayerError.self) { try StagingFolder(beside: output) }
        #expect(error?.code == .busy)
        staging.remove()
        _ = try StagingFolder(beside: output)
    }

    @Test(
        "a file that appeared meanwhile is not replaced unless that was asked for, and no part is left of the attempt"
    )
    func appeared() throws {
        try folder.write("theirs", to: "k.vmdk")
        let error = #expect(throws: FlashlayerError.self) { try make(["k-11111111-s001.vmdk"], replaces: false) }
        #expect(error?.code == .cannotCreate && error?.advice?.contains("--force") == true)
        #expect(try names == ["k.vmdk"])
        #expect(try String(contentsOfFile: output, encoding: .utf8) == "theirs")
    }

    @Test("names of parts are new each time, and keep the ending")
    func unique() throws {
        let staging = try StagingFolder(beside: output)
        defer { staging.remove() }
        let (one, other) = (staging.uniqueName(), staging.uniqueName())
        #expect(one != other && one.hasPrefix("k-") && one.hasSuffix(".vmdk") && one.utf8.count == 15)
    }
}
