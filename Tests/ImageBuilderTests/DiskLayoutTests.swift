// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Layers
import Model
import Programs
import TestSupport
import Testing

@testable import ImageBuilder

@Suite("The layout of a bootstrapped disk")
struct DiskLayoutTests {
    @Test(
        "has what each firmware needs, aligned, with the root last",
        arguments: [
            ([ImageSettings.Firmware.bios, .uefi], ["/dev/sda3", "/dev/sda2"]),
            ([.bios], ["/dev/sda2"]),
            ([.uefi], ["/dev/sda2", "/dev/sda1"]),
        ]
    )
    func layout(firmware: [ImageSettings.Firmware], devices: [String]) throws {
        let layout = try DiskLayout(size: 2 * ByteSize.gibibyte, firmware: firmware)
        #expect(layout.mounts.map(\.device) == devices)
        #expect(layout.mounts.first?.path == "/")
        #expect(layout.partitions.last?.role == .root)
        var end = ByteSize.mebibyte
        for partition in layout.partitions {
            #expect(partition.offset == end)
            #expect(partition.offset % ByteSize.mebibyte == 0)
            end = partition.offset + partition.size
        }
        #expect(end == layout.size - ByteSize.mebibyte)
    }

    @Test("is what sfdisk makes of its script")
    func script() async throws {
        let folder = try TemporaryFolder()
        let layout = try DiskLayout(size: ByteSize.gibibyte, firmware: [.bios, .uefi])
        let key = try SHA256.digest(of: "key")
        try folder.write(try layout.sfdiskScript(key: key), to: "script")
        let shell = Program(at: "/bin/sh")
        let sfdisk = try Program("sfdisk", debianPackage: "fdisk").path
        try await shell.run(
            ["-ec", "truncate -s 1G disk; \"$0\" -q disk < script; \"$0\" -J disk > json; \"$0\" -V disk", sfdisk],
            workingDirectory: folder.path
        )
        let text = try await shell.run(["-c", "cat json"], workingDirectory: folder.path)
        for partition in layout.partitions {
            #expect(
                text.contains("\"start\": \(partition.offset / 512)")
                    || text.contains("\"start\":\(partition.offset / 512)")
            )
            #expect(text.contains(partition.role.type))
        }
    }

    @Test("refuses a disk on which nothing fits")
    func tooSmall() {
        #expect(throws: FlashlayerError.self) {
            _ = try DiskLayout(size: 200 * ByteSize.mebibyte, firmware: [.uefi])
        }
    }

    @Test("names everything the same for the same build, and otherwise differently")
    func identifiers() throws {
        let one = try SHA256.digest(of: "one")
        let two = try SHA256.digest(of: "two")
        #expect(try DiskLayout.uuid(of: "root", one) == DiskLayout.uuid(of: "root", one))
        #expect(try DiskLayout.uuid(of: "root", one) != DiskLayout.uuid(of: "root", two))
        #expect(try DiskLayout.uuid(of: "root", one) != DiskLayout.uuid(of: "disk", one))
        let uuid = try DiskLayout.uuid(of: "root", one)
        #expect(uuid.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
        #expect(try DiskLayout.fatID(one).wholeMatch(of: /[0-9A-F]{4}-[0-9A-F]{4}/) != nil)
    }
}
