// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import TestSupport
import Testing

/// What is left on a disk when a write ends before it is done.
@Suite("Interrupted writes", .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)"), .serialized)
struct InterruptionTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// An image of 96 MiB with a GPT, full of data: about two seconds on the slow device.
    private func image() async throws -> String {
        let path = folder.file("image.raw")
        try TestImage.create(path, size: 96 << 20, data: [(2 << 20)..<(94 << 20)])
        try await label(path)
        return path
    }

    private func label(_ path: String) async throws {
        try await Program("sh", debianPackage: "dash").run([
            "-c", "printf 'label: gpt\\nsize=8M\\nsize=16M\\n' | sfdisk --quiet --no-tell-kernel \"$1\"", "sh", path,
        ])
    }

    /// Whether any tool sees a partition table, at either end.
    private func hasTable(_ path: String) async throws -> Bool {
        let blkid = try await Program("blkid", debianPackage: "util-linux").outcome(["-p", "-s", "PTTYPE", path])
        let sfdisk = try await Program("sfdisk", debianPackage: "fdisk").outcome(["--dump", path])
        return blkid.output.contains("PTTYPE") || sfdisk.status == 0
    }

    @Test(
        "a signal ends it with its own status, and neither the old nor the new table is there",
        arguments: [("INT", 130), ("TERM", 143), ("HUP", 143)] as [(String, Int32)]
    )
    func signals(name: String, status: Int32) async throws {
        let image = try await image()
        let device = try await FaultyDevice(size: 128 << 20, writeLatency: 20)
        defer { device.close() }
        try await label(device.path)
        #expect(try await hasTable(device.path))

        let outcome = try await FlashlayerProgram.script(
            #"""
            out=$(mktemp)
            "$flashlayer" write "$1" "$2" --allow virtual --yes --json > "$out" &
            until grep -q '"phase":"write"' "$out"; do sleep 0.05; done
            kill -s "$3" $!
            wait $!
            status=$?
            cat "$out"
            rm -f "$out"
            exit $status
            """#,
            arguments: [image, device.path, name]
        )
        #expect(outcome.status == status, "\(outcome.errors)")
        #expect(try await !hasTable(device.path))
        let finished = try outcome.events().first { $0["event"]?.text == "finished" }
        #expect(finished?["result"]?.text == "cancelled")
        #expect(finished?["error"]?["code"]?.text == (status == 130 ? "interrupted" : "terminated"))
        // The summary says the status that the process really ends with.
        #expect(try outcome.events().last?["exitStatus"]?.number == Double(status))

        // Running it again is the way on.
        let again = try await FlashlayerProgram.run(["write", image, device.path, "--allow", "virtual", "--yes"])
        #expect(again.status == 0, "\(again.errors)")
        #expect(try await hasTable(device.path))
    }

    @Test("a program that is killed takes its engine along, and no table is left")
    func killed() async throws {
        let image = try await image()
        let device = try await FaultyDevice(size: 128 << 20, writeLatency: 20)
        defer { device.close() }
        try await label(device.path)
        let outcome = try await FlashlayerProgram.script(
            #"""
            out=$(mktemp)
            "$flashlayer" write "$1" "$2" --allow virtual --yes --json > "$out" &
            pid=$!
            until grep -q '"phase":"write"' "$out"; do sleep 0.05; done
            rm -f "$out"
            engine=$(pgrep --parent $pid)
            kill -s KILL $pid
            wait $pid
            for i in $(seq 3000); do kill -0 "$engine" 2>/dev/null || exit 0; sleep 0.1; done
            exit 1
            """#,
            arguments: [image, device.path]
        )
        #expect(outcome.status == 0, "the engine outlived its parent by five minutes")
        #expect(try await !hasTable(device.path))
    }

    @Test("an engine that dies is reported as a failure, never as a pass")
    func engineKilled() async throws {
        let image = try await image()
        let device = try await FaultyDevice(size: 128 << 20, writeLatency: 20)
        defer { device.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            out=$(mktemp)
            "$flashlayer" write "$1" "$2" --allow virtual --yes --json > "$out" &
            pid=$!
            until grep -q '"phase":"write"' "$out"; do sleep 0.05; done
            kill -s KILL "$(pgrep --parent $pid)"
            wait $pid
            status=$?
            cat "$out"
            rm -f "$out"
            exit $status
            """#,
            arguments: [image, device.path]
        )
        #expect(outcome.status == 70, "\(outcome.errors)")
        #expect(try outcome.events().last?["exitStatus"]?.number == 70)
        #expect(try await !hasTable(device.path))
    }

    @Test("Ctrl-C while the disk is locked by somebody else leaves every byte of it as it is")
    func interruptedBeforeTheFirstWrite() async throws {
        let image = try await image()
        let loop = try LoopDevice(size: 128 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            flock --no-fork "$2" sleep 120 &
            holder=$!
            while flock --nonblock "$2" true; do sleep 0.05; done
            out=$(mktemp)
            "$flashlayer" write "$1" "$2" --allow virtual --yes --json > "$out" &
            pid=$!
            until grep -q '"phase":"probe"' "$out"; do sleep 0.05; done
            sleep 0.5
            kill -s INT $pid
            wait $pid
            status=$?
            kill $holder
            cat "$out"
            rm -f "$out"
            exit $status
            """#,
            arguments: [image, loop.path]
        )
        #expect(outcome.status == 130, "\(outcome.errors)")
        #expect(outcome.errors.contains("nothing was written"))
        #expect(try outcome.events().last?["exitStatus"]?.number == 130)
        #expect(try loop.read(count: 128 << 20).isFilled(with: 0xAA))
    }

    @Test("a medium that is exchanged during the write is not written to once more, not even to wipe it")
    func exchangedMedium() async throws {
        let path = folder.file("large.raw")
        try TestImage.create(path, size: 640 << 20, data: [0..<(640 << 20)])
        let loop = try LoopDevice(size: 648 << 20)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            out=$(mktemp)
            "$flashlayer" write "$1" "$2" --allow virtual --yes --json > "$out" &
            pid=$!
            until grep -q '"phase":"write"' "$out"; do sleep 0.02; done
            truncate --size 700M "$3"
            losetup --set-capacity "$2"
            wait $pid
            status=$?
            cat "$out"
            rm -f "$out"
            exit $status
            """#,
            arguments: [path, loop.path, loop.backingFile]
        )
        #expect(outcome.status == 77, "\(outcome.errors)")
        let events = try outcome.events()
        let finished = events.first { $0["event"]?.text == "finished" }
        #expect(finished?["error"]?["code"]?.text == "changed")
        #expect(finished?["result"]?.text == "fail")
        let phases = events.filter { $0["event"]?.text == "phase" }.compactMap { $0["phase"]?.text }
        #expect(phases == ["probe", "zero", "write", "flush"])
    }

    @Test("holes are zeroed on a device that has no offload for zeros")
    func zerosWithoutOffload() async throws {
        let path = folder.file("sparse.raw")
        try TestImage.create(path, size: 60 << 20, data: [0..<4096, (30 << 20)..<(31 << 20)])
        let device = try await FaultyDevice(size: 64 << 20)
        defer { device.close() }
        try await Program("sh", debianPackage: "dash").run([
            "-c", "yes flashlayer | dd of=\"$1\" bs=1M count=64 iflag=fullblock conv=fsync status=none", "sh",
            device.path,
        ])
        let outcome = try await FlashlayerProgram.run(["write", path, device.path, "--allow", "virtual", "--yes"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let cmp = try await Program("cmp", debianPackage: "diffutils")
            .outcome(["-n", "\(60 << 20)", path, device.path])
        #expect(cmp.status == 0, "\(cmp.output)")
    }
}
