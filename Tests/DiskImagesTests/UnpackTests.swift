// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Model
import TestSupport
import Testing

@testable import DiskImages

/// A packed format and the program that makes and judges it.
enum Packer: String, CaseIterable, Sendable {
    case gzip, xz, zstd, bzip2

    /// Packs standard input, with a check sum.
    var pack: String {
        switch self {
        case .gzip, .bzip2: "\(rawValue) -1"
        case .xz: "xz -0 --block-size=1MiB -T2"
        case .zstd: "zstd -q --check"
        }
    }
}

@Suite("Compressed images")
struct UnpackTests {
    private let folder: TemporaryFolder
    /// Compressible and not, with zeros between: 3.3 MiB and some bytes.
    private let raw: [UInt8]

    init() async throws {
        folder = try TemporaryFolder()
        try TestImage.create(folder.file("noise"), size: 1 << 20, data: [0..<(1 << 20)])
        try await shell(
            "{ cat noise; head -c 1000000 /dev/zero; seq 200000; echo end; } > raw; head -c 1500000 raw > a; tail -c +1500001 raw > b",
            in: folder.path
        )
        raw = try TestImage.bytes(of: folder.file("raw"))
    }

    private func image(_ line: String) async throws -> ImageReference {
        try await shell("{ \(line); } > image", in: folder.path)
        return ImageReference(folder.file("image"))
    }

    @Test("reads as what was packed, more than once", arguments: Packer.allCases)
    func intact(packer: Packer) async throws {
        let source = try await image("\(packer.pack) < raw").open().source
        #expect(source?.facts.format == packer.rawValue)
        #expect(try await content(of: source) == raw)
        #expect(try await content(of: source, piece: 4 << 20) == raw)
        #expect(source?.files == [folder.file("image")])
    }

    @Test("all members, frames and streams of a file are one image", arguments: Packer.allCases)
    func members(packer: Packer) async throws {
        let empty = "\(packer.pack) < /dev/null"
        let line = "\(packer.pack) < a; \(empty); \(packer.pack) < b; \(empty)"
        #expect(try await content(of: image(line).open().source) == raw)
    }

    @Test("an end in the middle is an error wherever it is", arguments: Packer.allCases)
    func truncated(packer: Packer) async throws {
        let size = try TestImage.bytes(of: await image("\(packer.pack) < a; \(packer.pack) < b").location).count
        for left in [10, 20, 600, size / 3, size / 2, size - 300_000, size - 9, size - 4, size - 1] {
            try await shell("head -c \(left) image > cut", in: folder.path)
            let error = await failure(ImageReference(folder.file("cut")))
            #expect(error?.code == .badImage, "\(packer) cut to \(left) of \(size)")
        }
    }

    @Test("a flipped bit is an error", arguments: Packer.allCases)
    func flipped(packer: Packer) async throws {
        let reference = try await image("\(packer.pack) < raw")
        let size = try TestImage.bytes(of: reference.location).count
        for place in [size / 5, size / 2, size - 40] {
            var bytes = try TestImage.bytes(of: reference.location)
            bytes[place] ^= 0x10
            try Data(bytes).write(to: URL(filePath: folder.file("bad")))
            #expect(await failure(ImageReference(folder.file("bad")))?.code == .badImage, "\(packer) at \(place)")
        }
    }

    @Test("what does not belong to the format behind its end is an error", arguments: Packer.allCases)
    func trailing(packer: Packer) async throws {
        for tail in ["garbage, and more of it", "\\x1f\\x8b\\x08 no member", "BZ", "\\xfd7zXZ"] {
            let error = await failure(try await image("\(packer.pack) < raw; printf '\(tail)'"))
            #expect(error?.code == .badImage, "\(packer) with \(tail)")
        }
    }

    @Test("padding of zeros is none where the format knows it")
    func padding() async throws {
        #expect(try await content(of: image("gzip < raw; head -c 5000 /dev/zero").open().source) == raw)
        let padded = try await image("xz -0 < a; head -c 4000 /dev/zero; xz -0 < b; head -c 8 /dev/zero").open().source
        #expect(try await content(of: padded) == raw)
        for line in ["xz -0 < raw; head -c 6 /dev/zero", "zstd -q < raw; head -c 8 /dev/zero"] {
            #expect(await failure(try await image(line))?.code == .badImage, "\(line)")
        }
    }

    @Test("frames that zstd skips are skipped, at the start too")
    func skippable() async throws {
        let skippable = "printf '\\x5a\\x2a\\x4d\\x18\\x05\\x00\\x00\\x00hello'"
        let line = "\(skippable); zstd -q < a; \(skippable); zstd -q < b; \(skippable)"
        #expect(try await content(of: image(line).open().source) == raw)
    }

    @Test("nothing in it is no image", arguments: Packer.allCases)
    func empty(packer: Packer) async throws {
        #expect(await failure(try await image("\(packer.pack) < /dev/null"))?.code == .badImage)
    }

    @Test("another format below it is refused with the command that helps", arguments: Packer.allCases)
    func nested(packer: Packer) async throws {
        let error = await failure(try await image("qemu-img create -q -f qcow2 q 1M; \(packer.pack) < q"))
        #expect(error?.code == .badImage)
        #expect(error?.advice?.contains("\(packer.rawValue) -dc") == true)
    }

    @Test("a dictionary or window beyond the limit is refused, not allocated")
    func memory() async throws {
        let xz = await failure(try await image("xz --lzma2=preset=0,dict=512MiB < a"))
        #expect(xz?.code == .badImage)
        #expect(xz?.message.contains("memory") == true)
        // A frame whose header asks for a window of 2 GiB.
        let zstd = await failure(try await image("zstd -q --long=31 --no-content-size < a"))
        #expect(zstd?.code == .badImage)
        #expect(zstd?.message.contains("memory") == true)
    }

    @Test("the size is known before it is unpacked where the format says it for certain")
    func size() async throws {
        #expect(try await image("xz -0 < a; xz -0 < b").open().source?.facts.size == UInt64(raw.count))
        #expect(try await image("gzip < raw").open().source?.facts.size == nil)
    }

    @Test("the digest of the file as stored is compared before the end is told", arguments: Packer.allCases)
    func digest(packer: Packer) async throws {
        var reference = try await image("\(packer.pack) < raw")
        reference.sha256 = try SHA256.digest(ofFile: reference.location)
        #expect(try await content(of: reference.open().source) == raw)
        reference.sha256 = try SHA256.digest(of: "something else")
        #expect(await failure(reference)?.code == .digestMismatch)
    }

    @Test("a pipe gives its bytes once, whatever the format", arguments: ["cat"] + Packer.allCases.map(\.pack))
    func pipe(pack: String) async throws {
        let pipe = folder.file("pipe")
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        // Open for both, so that it does not matter who comes first.
        let held = unsafe open(pipe, O_RDWR | O_CLOEXEC)
        async let written = shell("{ touch begun; \(pack) < raw; } > pipe", in: folder.path)
        while unsafe access(folder.file("begun"), F_OK) != 0 { try await Task.sleep(for: .milliseconds(5)) }
        let source = try await ImageReference(pipe).open().source as? any StreamSource
        close(held)
        #expect(source?.isRepeatable == false)
        #expect(try await content(of: source) == raw)
        #expect(throws: FlashlayerError.self) { _ = try source?.open() }
        _ = try await written
    }

    @Test("a pass that waits for a pipe can be cancelled")
    func cancel() async throws {
        let pipe = folder.file("pipe")
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        let held = unsafe open(pipe, O_RDWR | O_CLOEXEC)
        defer { close(held) }
        let origin = try PipeOrigin(pipe)
        let stream = try UnpackedStream(origin, format: .raw, sha256: nil)
        let reading = Task.detached {
            let buffer = AlignedBuffer(count: 4096)
            let error = #expect(throws: FlashlayerError.self) { try unsafe stream.read(into: buffer.mutableBytes) }
            #expect(error?.code == .interrupted)
        }
        try await Task.sleep(for: .milliseconds(50))
        stream.cancel()
        await reading.value
    }

    @Test("a file that changes while it is unpacked is noticed before the end is told")
    func changed() async throws {
        let source = try await image("gzip < raw").open().source
        try await shell("touch --date 2001-01-01 image", in: folder.path)
        let error = await #expect(throws: FlashlayerError.self) { _ = try await content(of: source) }
        #expect(error?.code == .sourceChanged)
    }
}
