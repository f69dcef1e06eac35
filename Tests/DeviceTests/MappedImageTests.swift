// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import TestSupport
import Testing

/// Images that have a block map: held to it, whoever made it, and never proved by less than all of it.
@Suite("Writing an image that has a block map", .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)"))
struct MappedImageTests {
    private static let size: UInt64 = 24 << 20
    private let folder: TemporaryFolder
    private let image: String

    init() throws {
        folder = try TemporaryFolder()
        image = folder.file("image.raw")
        try TestImage.create(image, size: Self.size, data: [0..<(12 << 20), (20 << 20)..<Self.size])
    }

    /// Of the image as it is now, by our own hand or by bmaptool's.
    private func map(_ path: String, by bmaptool: Bool = false) async throws {
        if bmaptool {
            try await Program("bmaptool", debianPackage: "bmap-tools").run(["-q", "create", "-o", path, image])
        } else {
            #expect(try await FlashlayerProgram.run(["map", image, "-o", path, "-q"]).status == 0)
        }
    }

    private func shell(_ text: String, _ arguments: [String]) async throws {
        try await Program("bash", debianPackage: "bash").run(["-c", text, "bash"] + arguments)
    }

    /// - Returns: the outcome, and what was said of the first target.
    private func write(
        _ arguments: [String],
        on loop: LoopDevice,
        from input: String? = nil
    ) async throws -> (status: Int32, finished: [String: JSONValue]) {
        let flags = ["--allow", "virtual", "--yes", "--json", "--timeout", "10"]
        let outcome =
            if let input {
                try await FlashlayerProgram.script(
                    #"head -c "$1" "$2" | "$flashlayer" write - "${@:3}""#,
                    arguments: [input, image, loop.path] + arguments + flags
                )
            } else {
                try await FlashlayerProgram.run(["write", image, loop.path] + arguments + flags)
            }
        let finished = try outcome.events().first { $0["event"]?.text == "finished" }
        return (outcome.status, try #require(finished, "\(outcome.output)\(outcome.errors)"))
    }

    @Test(
        "all of it is read back where the disk was compared first, and the digest is the image's",
        arguments: [true, false],
        [["--only-changed"], []]
    )
    func compared(bmaptool: Bool, flags: [String]) async throws {
        try await map(image + ".bmap", by: bmaptool)
        let loop = try LoopDevice(size: 32 << 20)
        defer { loop.close() }
        let first = try await write(["--no-bmap"], on: loop)
        try await shell("dd if=/dev/urandom of=\"$1\" bs=4096 count=1 seek=5000 conv=notrunc status=none", [loop.path])
        let again = try await write(flags, on: loop)
        #expect(again.status == 0)
        #expect(again.finished["result"]?.text == "pass")
        #expect(again.finished["bytesVerified"]?.number == Double(Self.size))
        #expect(again.finished["imageDigest"]?.text == first.finished["imageDigest"]?.text)
        let unchanged = try await write(flags, on: loop)
        #expect(unchanged.finished["result"]?.text == "unchanged")
        #expect(unchanged.finished["imageDigest"]?.text == first.finished["imageDigest"]?.text)
    }

    @Test(
        "a stream of another length than its map is no pass, and not the disk's fault",
        arguments: [24, 8, 12, 15, 17],
        [true, false]
    )
    func otherLength(mebibytes: Int, bmaptool: Bool) async throws {
        let path = folder.file("other.bmap")
        // The map is for 16 MiB of it.
        let whole = folder.file("whole.raw")
        try await shell("mv \"$1\" \"$2\" && head -c 16M \"$2\" > \"$1\"", [image, whole])
        try await map(path, by: bmaptool)
        try await shell("mv \"$2\" \"$1\"", [image, whole])
        let loop = try LoopDevice(size: 32 << 20, fill: 0xAA)
        defer { loop.close() }
        let (status, finished) = try await write(["--bmap", path], on: loop, from: "\(mebibytes)M")
        #expect(status == 65)
        #expect(finished["error"]?["code"]?.text == "digest-mismatch", "\(finished)")
    }

    @Test(
        "an image that is not what its map says is the image's fault, however it is wrong and wherever it goes",
        arguments: ["zeroed", "flipped", "everything"],
        ["file", "stream", "null", "unverified"]
    )
    func brokenImage(how: String, place: String) async throws {
        let path = folder.file("right.bmap")
        try await map(path)
        let command =
            switch how {
            case "zeroed": "fallocate --punch-hole --offset 4M --length 4M \"$1\""
            case "flipped": "printf X | dd of=\"$1\" bs=1 seek=5000000 conv=notrunc status=none"
            default: "head -c 24M /dev/urandom > \"$1\""
            }
        try await shell(command, [image])
        let loop = try LoopDevice(size: 32 << 20)
        defer { loop.close() }
        let more = place == "null" ? ["null:"] : place == "unverified" ? ["--no-verify"] : []
        let (status, finished) = try await write(
            more + ["--full", "--bmap", path],
            on: loop,
            from: place == "stream" ? "24M" : nil
        )
        #expect(status == 65)
        #expect(finished["error"]?["code"]?.text == "digest-mismatch", "\(finished)")
        #expect(try await !DiskLabel.isSeen(on: loop.path))
    }

    @Test("many wrong chunks of a large image are its own fault too")
    func manyWrongChunks() async throws {
        let path = folder.file("right.bmap")
        let size: UInt64 = 320 << 20
        try TestImage.create(image, size: size, data: [0..<size])
        try await map(path)
        try await shell("head -c 320M /dev/urandom > \"$1\"", [image])
        let loop = try LoopDevice(size: 324 << 20)
        defer { loop.close() }
        let (status, finished) = try await write(["--full", "--bmap", path], on: loop)
        #expect(status == 65)
        #expect(finished["error"]?["code"]?.text == "digest-mismatch", "\(finished)")
    }

    @Test("null: alone holds an image to its map as well")
    func nullAlone() async throws {
        let path = folder.file("right.bmap")
        try await map(path)
        try await shell("printf X | dd of=\"$1\" bs=1 seek=5000000 conv=notrunc status=none", [image])
        let outcome = try await FlashlayerProgram.run(["write", image, "null:", "--bmap", path])
        #expect(outcome.status == 65, "\(outcome.errors)")
    }
}
