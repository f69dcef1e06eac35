// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import TestSupport
import Testing

@testable import ImageBuilder

@Suite("What a build leaves")
struct OutputTests {
    @Test(
        "stands beside the image, under its name",
        arguments: [
            ("kiosk.qcow2", "kiosk"), ("out/kiosk.raw", "out/kiosk"), ("a.img", "a"), ("disk", "disk"),
            ("v1.2", "v1.2"), (".qcow2", ".qcow2"),
        ]
    )
    func names(path: String, stem: String) {
        let output = ImageOutput(path: path, format: .qcow2)
        #expect(output.blockMap == stem + ".bmap")
        #expect(output.description == stem + ".json")
        #expect(output.log == stem + ".log")
    }

    @Test("cannot be a folder, nor lie in one that is not there")
    func impossible() throws {
        let folder = try TemporaryFolder()
        #expect(throws: (any Error).self) { try ImageOutput(path: folder.path, format: .raw).confirmPossible() }
        #expect(throws: (any Error).self) {
            try ImageOutput(path: folder.file("none/a.raw"), format: .raw).confirmPossible()
        }
        #expect(throws: Never.self) { try ImageOutput(path: folder.file("a.raw"), format: .raw).confirmPossible() }
    }

    @Test(
        "never replaces what the build reads, by whatever name",
        arguments: [
            ("x.qcow2", "x.qcow2"), ("link.qcow2", "x.qcow2"), ("x.qcow2", "hard.qcow2"), ("x.log", "x.raw"),
            ("x.json", "x.qcow2"), ("x.bmap", "x.img"),
        ]
    )
    func inputs(input: String, output: String) throws {
        let folder = try TemporaryFolder()
        for name in ["x.qcow2", "x.log", "x.json", "x.bmap"] { try folder.write(name, to: name) }
        #expect(unsafe symlink("x.qcow2", folder.file("link.qcow2")) == 0)
        #expect(unsafe link(folder.file("x.qcow2"), folder.file("hard.qcow2")) == 0)
        let output = ImageOutput(path: folder.file(output), format: .qcow2)
        let error = #expect(throws: FlashlayerError.self) {
            try output.confirmPossible(replacingNoneOf: [folder.file("other"), folder.file(input)])
        }
        #expect(error?.code == .cannotCreate)
        #expect(error?.advice?.contains("-o FILE") == true)
        #expect(throws: Never.self) { try output.confirmPossible(replacingNoneOf: [folder.file("other")]) }
    }

    @Test("lists the packages that are really there")
    func packages() {
        let software = InstalledSoftware(
            "os\tdebian\t12\ndeb\tjq\t1.6-2.1\tamd64\tjq\t1.6-2.1\tA B <a@b>\t\n"
                + "deb\tlibjq1\t1.6-2.1+b1\tamd64\tjq\t1.6-2.1\t\t\nbroken line\nrpm\t\t\n"
        )
        #expect(software.distribution == "debian" && software.release == "12")
        #expect(software.packages.map(\.name) == ["jq", "libjq1"])
        #expect(software.packages.first?.version == "1.6-2.1")
        #expect(software.packages.map(\.source) == [nil, "jq"])
        #expect(software.packages.map(\.sourceVersion) == [nil, "1.6-2.1"])
    }

    @Test("A comma in a path does not end a value of QEMU")
    func commas() {
        #expect(VirtualMachine.escaped("/a,b/c") == "/a,,b/c")
    }
}
