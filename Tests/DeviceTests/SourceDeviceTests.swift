// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

/// Images that are no image files: disks, and standard input that somebody has read from already.
@Suite("Copying a disk", .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)"))
struct SourceDeviceTests {
    private static let size: UInt64 = 24 << 20

    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func source() throws -> LoopDevice {
        let path = folder.file("source")
        try TestImage.create(path, size: Self.size, data: [0..<(2 << 20), (20 << 20)..<(24 << 20)])
        return try LoopDevice(attaching: path)
    }

    private func write(_ image: String, _ target: String, _ more: String...) async throws -> Program.Outcome {
        try await FlashlayerProgram.run(["write", image, target, "--allow", "virtual", "--yes"] + more)
    }

    @Test("a disk is an image only where that is said: two names that change places write nothing")
    func said() async throws {
        let source = try source()
        defer { source.close() }
        let target = try LoopDevice(size: Self.size, fill: 0xAA)
        defer { target.close() }

        let unsaid = try await write(source.path, target.path)
        #expect(unsaid.status == 64 && unsaid.errors.contains("--from-device"), "\(unsaid.errors)")
        let file = try await write(source.backingFile, target.path, "--from-device")
        #expect(file.status == 64, "\(file.errors)")
        #expect(try target.read(count: Int(Self.size)).isFilled(with: 0xAA))

        let copied = try await write(source.path, target.path, "--from-device")
        #expect(copied.status == 0, "\(copied.errors)")
        #expect(try target.read(count: Int(Self.size)) == source.read(count: Int(Self.size)))
        let compared = try await FlashlayerProgram.run(["verify", source.path, target.path, "--from-device"])
        #expect(compared.status == 0, "\(compared.errors)")
    }

    @Test("what a disk holds in its first sectors makes no other file be read")
    func rawWhateverItHolds() async throws {
        let secret = folder.file("secret")
        try TestImage.create(secret, size: 1 << 20, data: [0..<(1 << 20)], seed: 9)
        let source = try LoopDevice(size: 4 << 20)
        defer { source.close() }
        try await Program("qemu-img", debianPackage: "qemu-utils").run([
            "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", folder.file("overlay"),
        ])
        try await Program("dd", debianPackage: "coreutils").run([
            "if=\(folder.file("overlay"))", "of=\(source.path)", "status=none",
        ])
        let target = try LoopDevice(size: 4 << 20, fill: 0xAA)
        defer { target.close() }
        let outcome = try await write(source.path, target.path, "--from-device")
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try target.read(count: 4 << 20) == source.read(count: 4 << 20))
    }

    @Test("a disk that somebody writes to while it is copied is no success")
    func changing() async throws {
        let source = try source()
        defer { source.close() }
        let target = try await FaultyDevice(size: Self.size, writeLatency: 20)
        defer { target.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            out=$(mktemp)
            "$flashlayer" write "$1" "$2" --from-device --full --allow virtual --yes --json > "$out" &
            until grep -q '"phase":"write"' "$out"; do sleep 0.02; done
            dd if=/dev/urandom of="$1" bs=4096 count=1 seek=2000 oflag=direct conv=notrunc status=none
            wait $!
            status=$?
            cat "$out"
            rm -f "$out"
            exit $status
            """#,
            arguments: [source.path, target.path]
        )
        #expect(outcome.status == 65, "\(outcome.errors)")
        let finished = try outcome.events().first { $0["event"]?.text == "finished" }
        #expect(finished?["error"]?["code"]?.text == "source-changed")
    }

    @Test("an image that is cut short while it is written is no success", arguments: [[], ["--no-verify"]])
    func cutShort(options: [String]) async throws {
        let image = folder.file("image")
        try TestImage.create(image, size: Self.size, data: [0..<Self.size])
        let target = try await FaultyDevice(size: Self.size, writeLatency: 20)
        defer { target.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            out=$(mktemp)
            image=$1 target=$2
            shift 2
            "$flashlayer" write "$image" "$target" --full --allow virtual --yes --json "$@" > "$out" &
            until grep -q '"phase":"write"' "$out"; do sleep 0.02; done
            truncate --size 2M "$image"
            wait $!
            status=$?
            cat "$out"
            rm -f "$out"
            exit $status
            """#,
            arguments: [image, target.path] + options
        )
        #expect(outcome.status == 65, "\(outcome.output)")
    }

    @Test("standard input begins where it stands, not where its file begins")
    func begun() async throws {
        let image = folder.file("image")
        try TestImage.create(image, size: 4 << 20, data: [0..<(4 << 20)])
        let target = try LoopDevice(size: 3 << 20, fill: 0xAA)
        defer { target.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            {
                dd bs=1M count=1 of=/dev/null status=none
                "$flashlayer" write - "$2" --allow virtual --yes --quiet
            } < "$1"
            """#,
            arguments: [image, target.path]
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try target.read(count: 3 << 20) == Array(TestImage.bytes(of: image)[(1 << 20)...]))
    }

    @Test("a log is written over an older log, and over nothing else")
    func logs() async throws {
        let image = folder.file("image")
        try TestImage.create(image, size: 1 << 20, data: [4096..<8192])
        let before = try TestImage.bytes(of: image)
        let wrong = try await FlashlayerProgram.run(["verify", "/nowhere", "/dev/null", "--log", image])
        #expect(wrong.status == 73, "\(wrong.errors)")
        #expect(try TestImage.bytes(of: image) == before)
        let log = folder.file("log")
        for command in ["verify", "write"] {
            let outcome = try await FlashlayerProgram.run([command, "/nowhere", "/dev/null", "--log", log])
            #expect(outcome.status == 66, "\(outcome.errors)")
            #expect(try String(contentsOfFile: log, encoding: .utf8) == outcome.errors + "\n")
        }
    }
}
