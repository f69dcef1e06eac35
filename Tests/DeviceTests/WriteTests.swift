// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import TestSupport
import Testing

/// What one case of the matrix writes.
struct ImageCase: Sendable, CustomTestStringConvertible {
    var name: String
    /// Bytes.
    var size: UInt64
    var data: [Range<UInt64>]
    var qcow2 = false
    var sectorSize = 512
    /// Bytes.
    var deviceSize: UInt64 = 64 << 20

    var testDescription: String { "\(name), \(sectorSize)-byte sectors" }

    static let all: [ImageCase] = [512, 4096].flatMap { sectorSize in
        [
            ImageCase(
                name: "holes",
                size: 40 << 20,
                data: [0..<(2 << 20), (9 << 20)..<(14 << 20), (39 << 20)..<(40 << 20)]
            ),
            ImageCase(name: "all data", size: 24 << 20, data: [0..<(24 << 20)]),
            ImageCase(name: "nothing but a hole", size: 24 << 20, data: []),
            ImageCase(
                name: "no multiple of anything",
                size: (17 << 20) + 1234,
                data: [5..<99, (17 << 20)..<((17 << 20) + 1234)]
            ),
            ImageCase(name: "no multiple of the chunk", size: (9 << 20) + 4096, data: [(8 << 20)..<((9 << 20) + 4096)]),
            ImageCase(name: "one byte", size: 1, data: [0..<1]),
            ImageCase(name: "one MiB", size: 1 << 20, data: [0..<(1 << 20)]),
            ImageCase(name: "one MiB and a byte", size: (1 << 20) + 1, data: [0..<((1 << 20) + 1)]),
            ImageCase(name: "two MiB", size: 2 << 20, data: [0..<(2 << 20)]),
            ImageCase(name: "as large as the disk", size: 64 << 20, data: [0..<4096, (63 << 20)..<(64 << 20)]),
            ImageCase(
                name: "almost as large as the disk",
                size: (64 << 20) - 4096,
                data: [0..<4096, (62 << 20)..<((64 << 20) - 4096)]
            ),
            ImageCase(name: "qcow2", size: 40 << 20, data: [0..<(5 << 20), (20 << 20)..<(21 << 20)], qcow2: true),
        ].map { image in
            var image = image
            image.sectorSize = sectorSize
            return image
        }
    }
}

@Suite("Writing to a real block device", .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)"))
struct WriteTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// - Returns: the raw image, and what is given to the program.
    private func images(_ image: ImageCase) async throws -> (raw: String, given: String) {
        let raw = folder.file("image.raw")
        try TestImage.create(raw, size: image.size, data: image.data)
        guard image.qcow2 else { return (raw, raw) }
        let qcow2 = folder.file("image.qcow2")
        try await Program("qemu-img", debianPackage: "qemu-utils")
            .run(["convert", "-f", "raw", "-O", "qcow2", raw, qcow2])
        return (raw, qcow2)
    }

    @Test(
        "a disk full of other data holds exactly the image afterwards, and the rest is as it was",
        arguments: ImageCase.all
    )
    func bitExact(image: ImageCase) async throws {
        let (raw, given) = try await images(image)
        let loop = try LoopDevice(size: image.deviceSize, sectorSize: image.sectorSize, fill: 0xAA)
        let outcome = try await FlashlayerProgram.run(["write", given, loop.path, "--allow", "virtual", "--yes"])
        #expect(outcome.status == 0, "\(outcome.errors)")

        // cmp shares no code with what it judges.
        let cmp = try Program("cmp", debianPackage: "diffutils")
        let comparison = try await cmp.outcome(["-n", "\(image.size)", raw, loop.path])
        #expect(comparison.status == 0, "\(comparison.output)")

        // Behind the image: the sector that the image ends in is filled up with zeros, then the old content goes on up
        // to the last MiB, which was wiped; but for the places whose room was tried out, which are zeros now.
        let end = image.size.roundedUp(to: UInt64(image.sectorSize))
        let padding = try loop.read(offset: image.size, count: Int(end - image.size))
        #expect(padding.isFilled(with: 0))
        let wiped = max(end, image.deviceSize - (1 << 20))
        let head = max(end, 1 << 20)
        if head < wiped {
            let rest = try loop.read(offset: head, count: Int(wiped - head))
            let odd = stride(from: 0, to: rest.count, by: 512).filter { start in
                let sector = Array(rest[start..<min(start + 512, rest.count)])
                return !sector.isFilled(with: 0xAA) && !sector.isFilled(with: 0)
            }
            #expect(odd.isEmpty)
        }
        #expect(try loop.read(offset: wiped, count: Int(image.deviceSize - wiped)).isFilled(with: 0))

        let verify = try await FlashlayerProgram.run(["verify", given, loop.path])
        #expect(verify.status == 0, "\(verify.errors)")
    }

    @Test(
        "a single wrong byte is found, with its offset, wherever it stands",
        arguments: [0, 1 << 20, 5_000_001, (24 << 20) - 1]
    )
    func wrongByte(position: UInt64) async throws {
        let (raw, _) = try await images(ImageCase(name: "", size: 24 << 20, data: [0..<(6 << 20)]))
        let loop = try LoopDevice(size: 32 << 20)
        let written = try await FlashlayerProgram.run(["write", raw, loop.path, "--allow", "virtual", "--yes", "-q"])
        #expect(written.status == 0)
        #expect(written.errors.isEmpty, "quiet means quiet")
        try await Program("sh", debianPackage: "dash").run([
            "-c",
            "tail -c +$(($2 + 1)) \"$1\" | head -c 1 | tr '\\000-\\377' '\\001-\\377\\000' | "
                + "dd of=\"$1\" bs=1 seek=\"$2\" conv=notrunc status=none",
            "sh", loop.path, "\(position)",
        ])
        let outcome = try await FlashlayerProgram.run(["verify", raw, loop.path, "--json"])
        #expect(outcome.status == 74)
        let events = try outcome.events()
        let finished = events.first { $0["event"]?.text == "finished" }
        #expect(finished?["result"]?.text == "fail")
        #expect(finished?["error"]?["code"]?.text == "verify-failed")
        #expect(finished?["error"]?["offset"]?.number == Double(position))
        #expect(events.last?["event"]?.text == "summary")
        #expect(events.last?["exitStatus"]?.number == 74)
    }

    @Test("--json tells the whole course in order, and the digest is that of the image")
    func events() async throws {
        let (raw, given) = try await images(ImageCase(name: "", size: 24 << 20, data: [0..<(6 << 20)], qcow2: true))
        let loop = try LoopDevice(size: 32 << 20, fill: 0x55)
        let outcome = try await FlashlayerProgram.run([
            "write", given, loop.path, "--allow", "virtual", "--yes", "--json",
        ])
        let events = try outcome.events()
        #expect(events.allSatisfy { $0["schema"]?.number == 1 && $0["time"]?.text != nil })
        #expect(events.first?["event"]?.text == "plan")
        let phases = events.filter { $0["event"]?.text == "phase" }.compactMap { $0["phase"]?.text }
        #expect(phases == ["probe", "zero", "write", "flush", "verify", "commit", "settle"])
        let finished = try #require(events.first { $0["event"]?.text == "finished" })
        #expect(finished["target"]?.text == loop.path)
        #expect(finished["result"]?.text == "pass")
        #expect(finished["error"] == .null)
        #expect(finished["bytesVerified"]?.number == Double(24 << 20))
        let oracle = try await Program("bash", debianPackage: "bash").run([
            "-c",
            "split --bytes=4M --filter='sha256sum | cut -c1-64' \"$1\" | perl -ne 'chomp; print pack \"H*\", $_' | sha256sum",
            "bash", raw,
        ])
        #expect(finished["imageDigest"]?.text == "sha256-4m:" + oracle.prefix(64))
        #expect(events.last?["event"]?.text == "summary")
        #expect(events.last?["exitStatus"]?.number == 0)
        // Keys are there, and null, where nothing is known.
        #expect(events.last?["error"] == .null)
        #expect(events.first?["image"]?["tableSectorSize"] == .null)
        for progress in events where progress["event"]?.text == "progress" {
            #expect(progress["bytesPerSecond"] != nil)
        }
    }

    @Test("without a terminal and without --yes nothing is written, and the words to add are named")
    func noTerminal() async throws {
        let (raw, _) = try await images(ImageCase(name: "", size: 4 << 20, data: [0..<(1 << 20)]))
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        let outcome = try await FlashlayerProgram.script(
            "setsid --wait \"$flashlayer\" write \"$1\" \"$2\" --allow virtual </dev/null",
            arguments: [raw, loop.path]
        )
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("--yes"))
        #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA))
    }

    @Test(
        "at the terminal the device's name is asked for; anything else is a no, and Ctrl-C ends it at once",
        arguments: [("yes\\n", 77), ("\\n", 77), ("\\003", 130), ("NAME\\n", 0)] as [(String, Int32)]
    )
    func prompt(keys: String, status: Int32) async throws {
        let (raw, _) = try await images(ImageCase(name: "", size: 4 << 20, data: [0..<(1 << 20)]))
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let name = String(loop.path.dropFirst("/dev/".count))
        let typed = keys == "NAME\\n" ? "\(name)\\n" : keys
        // script(1) gives the program a terminal of its own; the keys come when it asks.
        let outcome = try await FlashlayerProgram.script(
            #"""
            folder=$(mktemp -d)
            mkfifo "$folder/keys"
            script --quiet --flush --return --command "$flashlayer write $1 $2 --allow virtual" "$folder/seen" \
                < "$folder/keys" &
            exec 3> "$folder/keys"
            until grep -qs "Type its name" "$folder/seen"; do sleep 0.1; done
            printf "$3" >&3
            wait $!
            status=$?
            rm -rf "$folder"
            exit $status
            """#,
            arguments: [raw, loop.path, typed]
        )
        #expect(outcome.output.contains(loop.path))
        #expect(outcome.output.contains("will be lost"))
        #expect(outcome.status == status, "\(outcome.output)")
        if status != 0 { #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA)) }
    }

    @Test("a log is never written to a disk, whoever names one")
    func logOntoDisk() async throws {
        let loop = try LoopDevice(size: 4 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.run(["verify", "/nowhere", loop.path, "--log", loop.path])
        #expect(outcome.status == 73)
        #expect(try loop.read(count: 4 << 20).isFilled(with: 0xAA))
    }

    @Test("an image that is larger than the disk is refused before anything is written")
    func tooLarge() async throws {
        let (raw, _) = try await images(ImageCase(name: "", size: 17 << 20, data: [0..<4096]))
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        let outcome = try await FlashlayerProgram.run([
            "write", raw, loop.path, "--allow", "virtual", "--yes", "--json",
        ])
        #expect(outcome.status == 77)
        #expect(try outcome.events().last?["error"]?["code"]?.text == "too-small")
        #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA))
    }
}
