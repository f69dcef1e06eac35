// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

/// A write that ends by SIGKILL, at any moment, as by a power cut: what is on the disk then.
@Suite("Killed writes", .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)"), .serialized)
struct KilledWriteTests {
    private static let size: UInt64 = 48 << 20

    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// How often the write is killed: FLASHLAYER_KILLS, or as often as a run of all tests has time for.
    private static var count: Int {
        ProcessInfo.processInfo.environment["FLASHLAYER_KILLS"].flatMap { Int($0) } ?? 10
    }

    private static var seed: UInt64 {
        ProcessInfo.processInfo.environment["FLASHLAYER_SEED"].flatMap { UInt64($0) } ?? 4
    }

    private func labelled(_ name: String, seed: UInt64, more: UInt64 = 0) async throws -> String {
        let path = folder.file(name)
        try TestImage.create(path, size: Self.size + more, data: [(1 << 20)..<(47 << 20)], seed: seed)
        try await DiskLabel.write(to: path)
        return path
    }

    private func copy(_ source: String, to path: String) async throws {
        try await Program("cp", debianPackage: "coreutils").run(["--sparse=always", source, path])
    }

    private func isEqual(_ one: String, _ other: String) async throws -> Bool {
        try await Program("cmp", debianPackage: "diffutils").outcome(["--silent", one, other]).status == 0
    }

    @Test(
        "killed at random moments, a disk has no table at either end, old or new, unless it holds the whole image",
        arguments: [0, 12 << 20] as [UInt64]
    )
    func killed(more: UInt64) async throws {
        let image = try await labelled("image", seed: 1)
        // One that has nothing of the image, and one that has most of it, which is compared first.
        let others = [
            try await labelled("other", seed: 2, more: more), try await labelled("nearly", seed: 1, more: more),
        ]
        try await Program("dd", debianPackage: "coreutils").run([
            "if=\(others[0])", "of=\(others[1])", "bs=1M", "skip=9", "seek=9", "count=14", "conv=notrunc",
            "status=none",
        ])
        var random = SplitMix(seed: Self.seed)

        // How long it takes undisturbed: the moments are spread over all of it, the commit included.
        let disk = folder.file("disk")
        var wholes: [Int] = []
        var finished: [String] = []
        for other in others {
            try await copy(other, to: disk)
            wholes.append(try await write(image, onto: disk, killedAfter: nil).milliseconds)
            #expect(try await DiskLabel.isSeen(on: disk))
            finished.append(folder.file("finished-\(finished.count)"))
            try await copy(disk, to: finished[finished.count - 1])
        }
        // On a disk of its own size the image is all that there is.
        if more == 0 { finished = [image, image] }
        let count = more == 0 ? Self.count : Self.count / 2
        var untouched = 0
        var torn = 0
        var done = 0
        // No run ends without a write that was torn: that is what it is about.
        for round in 0..<(4 * count) where round < count || torn == 0 {
            let old = others[round % 2]
            let whole = wholes[round % 2]
            try await copy(old, to: disk)
            let delay = Int.random(in: 0...whole, using: &random)
            let both = Bool.random(using: &random)
            let outcome = try await write(image, onto: disk, killedAfter: delay, both: both)
            let context = "round \(round), seed \(Self.seed), after \(delay) of \(whole) ms, both: \(both)"
            if try await isEqual(finished[round % 2], disk) {
                done += 1
                // The machine may be quicker by now, and the end of the program is not the end of the writing.
                wholes[round % 2] = max(1, min(whole, delay, outcome.milliseconds))
                #expect(try await DiskLabel.isSeen(on: disk), "\(context)")
            } else if try await isEqual(old, disk) {
                untouched += 1
            } else {
                torn += 1
                #expect(try await !DiskLabel.isSeen(on: disk), "\(context)")
            }
            #expect(outcome.wasKilled || outcome.status == 0, "\(context)")
        }
        print("killed writes: \(untouched) before the first byte, \(torn) torn, \(done) done")
        #expect(torn + done > 0, "no kill came after the first byte")
        #expect(torn > 0, "no kill came while it was written")
    }

    /// - Returns: how long its engine ran until it was killed or had ended.
    private func write(
        _ image: String,
        onto file: String,
        killedAfter delay: Int?,
        both: Bool = true
    ) async throws -> (status: Int32, milliseconds: Int, wasKilled: Bool) {
        let loop = try LoopDevice(attaching: file)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            "$flashlayer" write "$1" "$2" --allow virtual --yes --quiet &
            pid=$!
            # The looking around before it belongs to no write.
            until engine=$(pgrep --full --parent $pid _engine); do
                kill -0 $pid 2>/dev/null || break
                sleep 0.002
            done
            start=${EPOCHREALTIME/[.,]/}
            if [ -n "$3" ]; then
                sleep "$3"
                if [ "$4" = both ]; then kill -s KILL $pid $engine 2>/dev/null; else kill -s KILL $pid 2>/dev/null; fi
            fi
            wait $pid
            status=$?
            echo $(((${EPOCHREALTIME/[.,]/} - start) / 1000))
            # An engine whose parent is gone ends by itself.
            for i in $(seq 6000); do
                [ -n "${engine:-}" ] && kill -0 $engine 2>/dev/null || exit $status
                sleep 0.05
            done
            echo "the engine outlived its parent by five minutes" >&2
            exit 99
            """#,
            arguments: [
                image, loop.path, delay.map { "\(Double($0) / 1000)" } ?? "", both ? "both" : "parent",
            ]
        )
        #expect(outcome.status == 0 || outcome.status == 137, "\(outcome.status) \(outcome.errors)")
        let milliseconds = Int(outcome.output.split(separator: "\n").last ?? "") ?? 0
        return (outcome.status, milliseconds, outcome.status == 137)
    }

    /// A boot sector that ends QEMU with status 2 * 0x2A + 1, by its device isa-debug-exit, as its first act.
    private static let bootSector: [UInt8] = {
        // mov al, 0x2A; mov dx, 0x501; out dx, al; hlt; jmp to the hlt
        var sector: [UInt8] = [0xB0, 0x2A, 0xBA, 0x01, 0x05, 0xEE, 0xF4, 0xEB, 0xFD]
        sector += [UInt8](repeating: 0, count: 510 - sector.count) + [0x55, 0xAA]
        // One partition that can be booted: some BIOSes want to see it.
        sector.replaceSubrange(446..<462, with: [0x80, 0, 2, 0, 0x83, 0, 1, 1, 0, 8, 0, 0, 0, 0x10, 0, 0])
        return sector
    }()

    private func addBootSector(to path: String) async throws {
        let sector = folder.file("sector")
        try Data(Self.bootSector).write(to: URL(filePath: sector))
        try await Program("dd", debianPackage: "coreutils")
            .run(["if=\(sector)", "of=\(path)", "conv=notrunc", "status=none"])
    }

    private func boots(_ disk: String) async throws -> Bool {
        let status = try await Program("timeout", debianPackage: "coreutils").outcome([
            "10", "qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-nodefaults", "-no-reboot", "-m", "64",
            "-device", "isa-debug-exit,iobase=0x501,iosize=1", "-boot", "order=c,reboot-timeout=0", "-snapshot",
            "-drive", "file=\(disk),format=raw,if=ide",
        ]).status
        return status == 2 * 0x2A + 1
    }

    @Test("a disk that was interrupted runs no boot sector, neither the old one nor the new one; a finished one does")
    func boot() async throws {
        let image = folder.file("image")
        try TestImage.create(image, size: Self.size, data: [512..<(47 << 20)])
        let disk = folder.file("disk")
        try TestImage.create(disk, size: Self.size, data: [512..<(47 << 20)], seed: 2)
        for path in [image, disk] { try await addBootSector(to: path) }
        #expect(try await boots(disk), "the rig itself does not work")
        var moment = try await write(image, onto: disk, killedAfter: nil).milliseconds / 2
        #expect(try await boots(disk))
        // A moment at which it is neither over nor at its start; when that is depends on what else the machine does.
        let old = folder.file("old")
        try TestImage.create(old, size: Self.size, data: [512..<(47 << 20)], seed: 3)
        try await addBootSector(to: old)
        var wasTorn = false
        for _ in 0..<12 where !wasTorn {
            try await copy(old, to: disk)
            _ = try await write(image, onto: disk, killedAfter: moment)
            let (isNew, isOld) = (try await isEqual(image, disk), try await isEqual(old, disk))
            wasTorn = !isNew && !isOld
            moment = isNew ? moment * 2 / 3 : moment * 5 / 4 + 1
        }
        #expect(wasTorn, "no kill came while it was written")
        #expect(try await !boots(disk))
        #expect(try await write(image, onto: disk, killedAfter: nil).status == 0)
        #expect(try await boots(disk))
    }
}
