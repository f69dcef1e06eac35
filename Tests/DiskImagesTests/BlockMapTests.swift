// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Model
import Programs
import TestSupport
import Testing

@Suite("Digests and block maps")
struct BlockMapTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func image(size: UInt64) throws -> String {
        let path = folder.file("image.raw")
        try TestImage.create(
            path,
            size: size,
            data: [0..<min(size, 5 << 20), min(size, 13 << 20)..<min(size, 14 << 20)]
        )
        return path
    }

    @Test("the raw digest is what sha256sum says", arguments: [1, 4096, (4 << 20) + 5, (21 << 20) + 100] as [UInt64])
    func rawDigest(size: UInt64) async throws {
        let path = try image(size: size)
        let scan = try await ImageScan.scan(try await ImageFormat.openLocal(path), wholeDigest: true)
        let sum = try await Program("sha256sum", debianPackage: "coreutils").run([path])
        #expect(scan.rawSha256?.hex == String(sum.prefix(64)))
        #expect(scan.chunkDigests.count == Int((size + (4 << 20) - 1) / (4 << 20)))
    }

    @Test("the image digest is SHA-256 over the digests of the chunks, as a shell computes it")
    func imageDigest() async throws {
        let path = try image(size: (21 << 20) + 100)
        let scan = try await ImageScan.scan(try await ImageFormat.openLocal(path), wholeDigest: false)
        let script = """
            split --bytes=4M --filter='sha256sum | cut -c1-64' "$1" | perl -ne 'chomp; print pack "H*", $_' | sha256sum
            """
        let oracle = try await Program("bash", debianPackage: "bash").run(["-c", script, "bash", path])
        #expect(try scan.imageDigest.description == "sha256-4m:" + oracle.prefix(64))
    }

    @Test(
        "bmaptool accepts the map and finds the image in it",
        arguments: [(9 << 20) + 4096, (9 << 20) + 100] as [UInt64]
    )
    func bmaptool(size: UInt64) async throws {
        let path = try image(size: size)
        let scan = try await ImageScan.scan(try await ImageFormat.openLocal(path), wholeDigest: false)
        let map = try folder.write(try scan.blockMap.xml(), to: "image.bmap")
        let copy = folder.file("copy.raw")
        let bmaptool = try Program("bmaptool", debianPackage: "bmap-tools")
        try await bmaptool.run(["copy", "--bmap", map, path, copy])
        #expect(try TestImage.bytes(of: copy) == TestImage.bytes(of: path))

        // It checks the digests as well: a changed image is refused.
        try TestImage.create(path, size: size, data: [0..<min(size, 5 << 20)], seed: 2)
        let outcome = try await bmaptool.outcome(["copy", "--bmap", map, path, copy])
        #expect(outcome.status != 0)
        #expect(outcome.errors.contains("checksum mismatch"))
    }

    @Test("a map of our own gives the chunk digests back; one of another make does not pretend to")
    func chunkDigests() throws {
        let digests = try (0..<3).map { try SHA256.digest(of: "\($0)") }
        let map = BlockMap(imageSize: (9 << 20) + 1, chunks: digests)
        #expect(map.chunkDigests == digests)
        #expect(map.ranges.last?.last == (9 << 20) / 4096)
        let partial = BlockMap(imageSize: map.imageSize, ranges: Array(map.ranges.dropFirst()))
        #expect(partial.chunkDigests == nil)
    }
}
