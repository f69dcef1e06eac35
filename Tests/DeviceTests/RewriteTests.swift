// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

/// Writing an image to a device that carries most of it already.
@Suite("Writing once more", .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)"))
struct RewriteTests {
    private static let size: UInt64 = 64 << 20

    @Test(
        "whatever differs is written, and little else, also where nothing is read back",
        arguments: [1, 3, 16],
        [[], ["--no-verify"]]
    )
    func differences(chunks: Int, flags: [String]) async throws {
        let folder = try TemporaryFolder()
        let image = folder.file("image")
        try TestImage.create(image, size: Self.size, data: [0..<(20 << 20), (40 << 20)..<Self.size])
        var before = try TestImage.bytes(of: image)
        // One byte in each of some chunks of 4 MiB, from the last on; those at the front are compared first.
        for chunk in (16 - chunks)..<16 { before[(chunk << 22) + (2 << 20) + 12345] ^= 1 }
        let device = try await FaultyDevice(size: Self.size + (2 << 20), content: before)
        defer { device.close() }
        let outcome = try await FlashlayerProgram.run(
            ["write", image, device.path, "--allow", "virtual", "--yes", "--json"] + flags
        )
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        let cmp = try await Program("cmp", debianPackage: "diffutils")
            .outcome(["-n", "\(Self.size)", image, device.medium])
        #expect(cmp.status == 0, "\(cmp.output)")
        // The chunks, and both ends of the device and of the image: wiped, then written.
        #expect(device.counters.bytesWritten <= (UInt64(chunks) << 22) + (8 << 20))
        // Nothing that was forgotten is found by the read-back and taken for a fault of the device.
        let finished = try outcome.events().first { $0["event"]?.text == "finished" }
        #expect(finished?["chunksRepaired"]?.number == 0)
    }

    @Test("a comparison that ends by an error leaves the disk as it was, its partitions too")
    func endsWhileComparing() async throws {
        let folder = try TemporaryFolder()
        let image = folder.file("image")
        try TestImage.create(image, size: Self.size, data: [(1 << 20)..<(63 << 20)])
        try await DiskLabel.write(to: image)
        let loop = try LoopDevice(attaching: image)
        defer { loop.close() }
        try await addNodes(loop)
        let nodes = partitionNodes(of: loop)
        #expect(nodes.count == 2)
        // Its last part differs from nothing, but is missing from the source.
        let script = #"gzip -1 < "$1" | head -c 40000000 > "$2""#
        try await Program("bash", debianPackage: "bash").run(["-c", script, "bash", image, folder.file("cut.gz")])
        let outcome = try await FlashlayerProgram.run([
            "write", folder.file("cut.gz"), loop.path, "--allow", "virtual", "--yes", "--only-changed", "--json",
        ])
        #expect(outcome.status == 65, "\(outcome.output)")
        let finished = try outcome.events().first { $0["event"]?.text == "finished" }
        #expect(finished?["bytesWritten"]?.number == 0)
        #expect(partitionNodes(of: loop) == nodes)
    }

    @Test("holes that are skipped do not count as verified")
    func skippedHoles() async throws {
        let folder = try TemporaryFolder()
        let image = folder.file("image")
        try TestImage.create(image, size: Self.size, data: [0..<(20 << 20), (40 << 20)..<Self.size])
        let device = try await FaultyDevice(size: Self.size + (2 << 20))
        defer { device.close() }
        for expected in ["pass", "unchanged"] {
            let outcome = try await FlashlayerProgram.run([
                "write", image, device.path, "--allow", "virtual", "--yes", "--json", "--holes", "skip",
            ])
            let finished = try outcome.events().first { $0["event"]?.text == "finished" }
            #expect(finished?["result"]?.text == expected, "\(outcome.output)")
            #expect(finished?["bytesVerified"]?.number == Double(44 << 20))
        }
    }
}
