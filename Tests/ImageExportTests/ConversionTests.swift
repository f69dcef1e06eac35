// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Testing

@testable import ImageExport

@Suite("What an export is told and needs")
struct ConversionTests {
    @Test(
        "how far qemu-img is",
        arguments: [("    (12.50/100%", 0.125), ("(0.00/100%", 0), ("x)  (100.00/100%", 1), ("(", nil), ("", nil)]
    )
    func share(text: String, share: Double?) {
        #expect(Conversion.share(in: text) == share)
    }

    @Test("a format goes by its own name or by what its files are called")
    func words() {
        #expect(ExportFormat(word: "VHD") == .vpc && ExportFormat(word: "vpc") == .vpc)
        #expect(ExportFormat(word: "img") == .raw && ExportFormat(word: "box") == .vagrant)
        #expect(ExportFormat(nameOf: "/a/b.VMDK") == .vmdk && ExportFormat(nameOf: "/a/vdi") == nil)
        #expect(ExportFormat(nameOf: "/a.vdi/.vdi") == nil && ExportFormat(nameOf: "") == nil)
    }

    @Test("a recipe's word is a format, with a subformat behind a colon")
    func recipeWords() throws {
        #expect(try ExportForm(recipeWord: "vmdk").subformat == .monolithicSparse)
        #expect(try ExportForm(recipeWord: "vmdk:streamoptimized").subformat == .streamOptimized)
        #expect(try ExportForm(recipeWord: "vpc:fixed").subformat == .fixed)
        for word in ["", "vhd", "vmdk:", "raw:fixed", "floppy"] {
            #expect(throws: FlashlayerError.self, "\(word)") { try ExportForm(recipeWord: word) }
        }
    }

    @Test("room is counted in what each format takes at once, each unit once")
    func space() throws {
        let extents = [
            Extent(offset: 0, length: 4096, kind: .data), Extent(offset: 4096, length: 4096, kind: .zero),
            Extent(offset: 8192, length: 4096, kind: .data),
            Extent(offset: 12288, length: (3 << 20) - 12288, kind: .zero),
            Extent(offset: 3 << 20, length: 1 << 20, kind: .data),
        ]
        func data(_ word: String) throws -> UInt64 {
            SpaceNeed(try ExportForm(recipeWord: word), extents: extents, size: 4 << 20).dataBytes
        }
        #expect(try data("raw") == 1 << 20 | 8192)
        #expect(try data("qcow2") == 1 << 20 | 65536)
        #expect(try data("vdi") == 2 << 20)
        let plain = SpaceNeed(try ExportForm(.qcow2), extents: extents, size: 4 << 20)
        let archive = SpaceNeed(try ExportForm(.ova), extents: extents, size: 4 << 20)
        #expect(plain.bytes > plain.dataBytes && archive.bytes > archive.dataBytes / 2)
    }

    @Test(
        "a tiny disk needs little more room than it has data",
        arguments: ["raw", "qcow2", "vdi", "vmdk", "vhdx", "vpc", "ova"]
    )
    func tiny(word: String) throws {
        let extents = [Extent(offset: 0, length: 4096, kind: .data)]
        let need = SpaceNeed(try ExportForm(recipeWord: word), extents: extents, size: 1 << 20)
        #expect(need.bytes <= 2 << 20, "\(need.bytes)")
    }

    @Test("what is only guessed is told as a guess", arguments: [("ova", "about"), ("vdi", "up to")])
    func guessed(word: String, words: String) throws {
        let extents = [Extent(offset: 0, length: 1 << 60, kind: .data)]
        let need = SpaceNeed(try ExportForm(recipeWord: word), extents: extents, size: 1 << 60)
        let error = #expect(throws: FlashlayerError.self) { try need.confirm(in: "/tmp") }
        #expect(
            error?.code == .noSpace && error?.message.contains("takes \(words) ") == true,
            "\(error?.message ?? "")"
        )
    }

    @Test("a description's parts are read, and nothing else is")
    func descriptor() {
        let text = """
            # Disk DescriptorFile
            version=1
            RW 4192256 SPARSE "kiosk-1f0c93ab-s001.vmdk"
            RW 2048 SPARSE "with blank.vmdk"
            RDONLY 2048 ZERO
            ddb.adapterType = "lsilogic"
            """
        #expect(VMDKDescriptor.extents(in: text) == ["kiosk-1f0c93ab-s001.vmdk", "with blank.vmdk"])
    }
}
