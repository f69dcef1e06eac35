// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Glibc
import Model
import Programs
import TestSupport
import Testing
import Threads

@testable import DiskImages

@Suite("Sources")
struct SourceTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func raw(size: UInt64, data: [Range<UInt64>]) throws -> String {
        let path = folder.file("image.raw")
        try TestImage.create(path, size: size, data: data)
        return path
    }

    @Test(
        "a raw image reads as its file does, whatever its size",
        arguments: [1, 511, 4096, 4097, (4 << 20) - 1, 4 << 20, (9 << 20) + 513] as [UInt64]
    )
    func rawSizes(size: UInt64) async throws {
        let path = try raw(size: size, data: [0..<min(size, 70_000)])
        let source = try await ImageFormat.openLocal(path)
        #expect(source.facts.format == "raw")
        #expect(source.size == size)
        #expect(try contentByChunks(of: source) == TestImage.bytes(of: path))
    }

    @Test("extents cover the image without gaps, and holes are zero")
    func rawExtents() async throws {
        let path = try raw(size: 32 << 20, data: [(5 << 20)..<(6 << 20), (20 << 20)..<(21 << 20)])
        let source = try await ImageFormat.openLocal(path)
        var position: UInt64 = 0
        for extent in source.extents {
            #expect(extent.offset == position)
            position = extent.end
        }
        #expect(position == 32 << 20)
        #expect(source.chunksWithData == [false, true, false, false, false, true, false, false])
    }

    @Test("a qcow2 is told by content and reads as the raw image it was made from", arguments: ["65536", "512", "2M"])
    func qcow2(clusterSize: String) async throws {
        let path = try raw(
            size: (24 << 20) + 1536,
            data: [0..<100_000, (7 << 20)..<(9 << 20), (23 << 20)..<(24 << 20)]
        )
        // The name lies: formats are told by content.
        let image = folder.file("image.raw.bin")
        let program = try Program("qemu-img", debianPackage: "qemu-utils")
        try await program.run([
            "convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=\(clusterSize)", path, image,
        ])
        let source = try await ImageFormat.openLocal(image)
        #expect(source.facts.format == "qcow2")
        #expect(source.size == (24 << 20) + 1536)
        #expect(source.chunksWithData.contains(false))
        let wanted = try TestImage.bytes(of: path)
        #expect(try contentByChunks(of: source) == wanted)
    }

    @Test("a backing chain is read through")
    func backingChain() async throws {
        let path = try raw(size: 16 << 20, data: [0..<(2 << 20), (8 << 20)..<(9 << 20)])
        let base = folder.file("base.qcow2")
        let top = folder.file("top.qcow2")
        let qemuImg = try Program("qemu-img", debianPackage: "qemu-utils")
        try await qemuImg.run(["convert", "-f", "raw", "-O", "qcow2", path, base])
        try await qemuImg.run(["create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top])
        let qemuIO = try Program("qemu-io", debianPackage: "qemu-utils")
        try await qemuIO.run(["-f", "qcow2", "-c", "write -P 0x5a 1M 1M", "-c", "write -z 8M 512k", top])
        let flat = folder.file("flat.raw")
        try await qemuImg.run(["convert", "-O", "raw", top, flat])
        let source = try await ImageFormat.openLocal(top)
        #expect(source.files == [top, base])
        #expect(try await ImageFormat.files(of: top) == [top, base])
        let wanted = try TestImage.bytes(of: flat)
        #expect(try contentByChunks(of: source) == wanted)
    }

    @Test(
        "a map that is asked for in parts says what a whole one says",
        arguments: [512, 1 << 20, 5 << 20] as [UInt64]
    )
    func mapInParts(part: UInt64) async throws {
        let size: UInt64 = part == 512 ? 16 << 10 : 16 << 20
        let path = try raw(size: size, data: [0..<512, (size / 4)..<(size / 2)])
        let image = folder.file("m.qcow2")
        let program = try Program("qemu-img", debianPackage: "qemu-utils")
        try await program.run(["convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=512", path, image])
        /// Where each 512 bytes are.
        func places(_ map: [QemuImage.MapEntry]) -> [UInt64?] {
            map.flatMap { entry in
                stride(from: 0, to: entry.length, by: 512).map { step in
                    entry.zero ? nil : entry.offset.map { $0 + step }
                }
            }
        }
        let whole = try await QemuImage.map(of: image, size: size)
        let parts = try await QemuImage.map(of: image, size: size, part: part)
        #expect(places(parts) == places(whole))
        #expect(parts.count > whole.count)
    }

    @Test(
        "a name with a colon is the name of a file",
        arguments: [("a:b.qcow2", "./a:b.qcow2"), ("--help", "./--help"), ("/a:b", "/a:b"), ("../x", "./../x")]
    )
    func argument(path: String, argument: String) {
        #expect(QemuImage.argument(path) == argument)
    }

    @Test(
        "what only QEMU reads is read through it",
        arguments: [
            "qcow2 -c", "vmdk", "vmdk -o subformat=streamOptimized", "vdi", "vhdx", "vpc", "vpc -o subformat=fixed",
        ]
    )
    func exported(format: String) async throws {
        _ = try raw(size: 8 << 20, data: [0..<(1 << 20), (5 << 20)..<(6 << 20)])
        try await shell("qemu-img convert -f raw image.raw -O \(format) image", in: folder.path)
        try await shell("qemu-img convert -f \(format.prefix { $0 != " " }) image -O raw flat", in: folder.path)
        let opened = try await ImageFormat.openLocal(folder.file("image"))
        #expect(format.hasPrefix(opened.facts.format))
        let wanted = try TestImage.bytes(of: folder.file("flat"))
        #expect(try await onOwnThread(named: "test-read") { try contentByChunks(of: opened) } == wanted)
    }

    @Test("a damaged image that only QEMU reads is an error, not zeros", arguments: ["qcow2 -c", "vmdk", "vdi", "vpc"])
    func exportedTruncated(format: String) async throws {
        _ = try raw(size: 8 << 20, data: [0..<(8 << 20)])
        let source = format == "qcow2 -c" ? "/usr/bin/git" : "image.raw"
        try await shell("qemu-img convert -f raw \(source) -O \(format) image; truncate -s 1M image", in: folder.path)
        let error = await #expect(throws: FlashlayerError.self) {
            let source = try await ImageFormat.openLocal(folder.file("image"))
            _ = try await onOwnThread(named: "test-read") { try contentByChunks(of: source) }
        }
        #expect(error?.code == .badImage)
    }

    @Test("a truncated qcow2 is an error, not zeros")
    func truncated() async throws {
        let path = try raw(size: 8 << 20, data: [0..<(8 << 20)])
        let image = folder.file("t.qcow2")
        let program = try Program("qemu-img", debianPackage: "qemu-utils")
        try await program.run(["convert", "-f", "raw", "-O", "qcow2", path, image])
        let truncate = try Program("truncate", debianPackage: "coreutils")
        try await truncate.run(["--size", "3M", image])
        let error = await #expect(throws: FlashlayerError.self) { try await ImageFormat.openLocal(image) }
        #expect(error?.code == .badImage)
        #expect(error?.message.contains("truncated") == true)
    }

    @Test("an image that changes while it is read is noticed")
    func changed() async throws {
        let path = try raw(size: 1 << 20, data: [0..<4096])
        let source = try await ImageFormat.openLocal(path)
        try source.confirmUnchanged()
        let touch = try Program("touch", debianPackage: "coreutils")
        try await touch.run(["--date", "2001-01-01", path])
        let error = #expect(throws: FlashlayerError.self) { try source.confirmUnchanged() }
        #expect(error?.code == .sourceChanged)
    }

    @Test("a change is seen although the file's own time was set back")
    func changedSecretly() async throws {
        let path = try raw(size: 1 << 20, data: [0..<4096])
        let touch = try Program("touch", debianPackage: "coreutils")
        try await touch.run(["--date", "2001-01-01", path])
        let source = try await ImageFormat.openLocal(path)
        try await touch.run(["--date", "2001-01-01", path])
        let error = #expect(throws: FlashlayerError.self) { try source.confirmUnchanged() }
        #expect(error?.code == .sourceChanged)
    }

    @Test("what is no image says so")
    func noImage() async throws {
        let missing = await #expect(throws: FlashlayerError.self) { try await ImageFormat.openLocal("/nowhere/x.raw") }
        #expect(missing?.code == .notFound)
        let path = folder.file("empty")
        try TestImage.create(path, size: 0, data: [])
        let empty = await #expect(throws: FlashlayerError.self) { try await ImageFormat.openLocal(path) }
        #expect(empty?.code == .badImage)
        let directory = await #expect(throws: FlashlayerError.self) { try await ImageFormat.openLocal("/tmp") }
        #expect(directory?.code == .badImage)
        // Nobody writes into it: opening must not wait for that.
        let pipe = folder.file("pipe")
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        let fifo = await #expect(throws: FlashlayerError.self) { try await ImageFormat.openLocal(pipe) }
        #expect(fifo?.code == .badImage)
    }
}
