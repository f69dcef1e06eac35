// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Programs
import TestSupport
import Testing

/// A job drawn by lot: an image, what is on the device before, how it is written, and what goes wrong.
private struct WriteCase: CustomStringConvertible {
    enum Format: String, CaseIterable {
        case raw, qcow2, vmdk, gz, xz, zst, bz2
    }

    enum Before: String, CaseIterable {
        case zeros, random, nearlyTheImage
    }

    enum Fault: CaseIterable {
        case none, writeError, readError, flip, flipOnce, drop
    }

    let seed: UInt64
    let size: UInt64
    var data: [Range<UInt64>] = []
    let format: Format
    let sectorSize: UInt64
    let deviceSize: UInt64
    let before: Before
    var flags: [String]
    let fault: Fault
    /// Byte of the image that the fault is about.
    let place: UInt64

    init(seed: UInt64) {
        self.seed = seed
        var random = SplitMix(seed: seed)
        let largest: UInt64 = Int.random(in: 0..<6, using: &random) == 0 ? 40 << 20 : 12 << 20
        let granules: [UInt64] = [1, 512, 4096, 1 << 20]
        let granule = granules[Int.random(in: 0..<4, using: &random)]
        let size = max(granule, UInt64.random(in: 1...largest, using: &random) / granule * granule)
        self.size = size
        var position: UInt64 = Bool.random(using: &random) ? 0 : UInt64.random(in: 0..<size, using: &random)
        while position < size {
            let end = min(size, position + UInt64.random(in: 1...(6 << 20), using: &random))
            data.append(position..<end)
            position = end + UInt64.random(in: 1...(5 << 20), using: &random)
        }
        format = Format.allCases[Int.random(in: 0..<Format.allCases.count, using: &random)]
        sectorSize = Int.random(in: 0..<4, using: &random) == 0 ? 4096 : 512
        let slack: UInt64 = Bool.random(using: &random) ? 0 : UInt64.random(in: 0..<(6 << 20), using: &random)
        deviceSize = (size + (2 << 20) + slack + 4095) / 4096 * 4096
        before = Before.allCases[Int.random(in: 0..<3, using: &random)]
        let choices = [
            [], [], ["--full"], ["--only-changed"], ["--no-verify"], ["--only-changed", "--no-verify"],
            ["--holes", "skip"],
        ]
        flags = choices[Int.random(in: 0..<choices.count, using: &random)]
        let faulty = Int.random(in: 0..<5, using: &random) < 2
        fault = faulty ? Fault.allCases[Int.random(in: 1..<6, using: &random)] : .none
        place = UInt64.random(in: 0..<size, using: &random)
        // Nobody notices what is not read back.
        if flags.contains("--no-verify"), fault != .writeError { flags.removeAll { $0 == "--no-verify" } }
    }

    var skipsHoles: Bool { flags.contains("skip") }

    var faults: [FaultyDevice.Fault] {
        switch fault {
        case .none: []
        case .writeError: [.error(at: place, on: .write)]
        case .readError: [.error(at: place, on: .read)]
        case .flip: [.flip(at: place, on: .write)]
        case .flipOnce: [.flip(at: place, on: .write).times(1)]
        case .drop: [.drop(place..<(place + 4096))]
        }
    }

    var description: String {
        "seed \(seed): \(format) of \(size), \(data.count) runs, sectors of \(sectorSize), device of \(deviceSize), "
            + "before: \(before), \(flags.joined(separator: " ")), \(fault) at \(place)"
    }
}

@Suite("Writes drawn by lot", .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)"), .serialized)
struct WriteOracleTests {
    private static func number(_ name: String, default value: UInt64) -> UInt64 {
        ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) } ?? value
    }

    /// Says what is on a medium, in Python: it shares nothing with what wrote it.
    private static let oracle = #"""
        import sys
        raw, old, medium, sector, skip, runs = sys.argv[1:7]
        image, before, now = (open(name, "rb").read() for name in (raw, old, medium))
        size, sector, mib = len(image), int(sector), 1 << 20
        end = -(-size // sector) * sector
        if skip == "skip":
            # Holes keep what was there, or became zeros: both ends do, and so does what was probed.
            position, exact = 0, True
            for run in runs.split(",") if runs else []:
                first, last = map(int, run.split("-"))
                exact = exact and now[first:last] == image[first:last]
            print("exact" if exact else "other")
        else:
            # The rest of the last sector becomes zeros when it is written.
            rest = now[size:end] in (bytes(end - size), before[size:end])
            print("exact" if now[:size] == image and rest else "other")
        # Behind the image nothing new stands: what was there, or zeros.
        print("behind" if all(now[i:i + 512] in (before[i:i + 512], bytes(len(now[i:i + 512])))
                              for i in range(end, len(now), 512)) else "spoilt")
        """#

    @Test("each ends bit-exact, or with the failure that it has to end with")
    func property() async throws {
        let first = Self.number("FLASHLAYER_SEED", default: 4)
        let count = Self.number("FLASHLAYER_CASES", default: 24)
        var passed = 0
        for seed in (first * 1000)..<(first * 1000 + count) {
            if try await judge(WriteCase(seed: seed)) { passed += 1 }
        }
        print("\(count) writes drawn by lot: \(passed) exact, \(Int(count) - passed) failed as they had to")
    }

    /// - Returns: whether it passed, and may.
    private func judge(_ job: WriteCase) async throws -> Bool {
        let folder = try TemporaryFolder()
        let raw = folder.file("image.raw")
        try TestImage.create(raw, size: job.size, data: job.data, seed: job.seed)
        let given = try await encode(raw, job.format, folder)
        let image = try TestImage.bytes(of: raw)
        let before = content(job, image)
        try Data(before).write(to: URL(filePath: folder.file("old")))
        let device = try await FaultyDevice(
            size: job.deviceSize,
            sectorSize: Int(job.sectorSize),
            faults: job.faults,
            hasZeroOffload: job.seed % 2 == 0,
            content: before
        )
        defer { device.close() }
        let outcome = try await FlashlayerProgram.run(
            ["write", given, device.path, "--allow", "virtual", "--yes", "--json"] + job.flags
        )
        let finished = try outcome.events().first { $0["event"]?.text == "finished" }
        let struck = device.counters.faults > 0
        let context =
            "\(job), struck: \(struck)\n\(outcome.status) \(outcome.errors) \(String(describing: finished))"
        let runs = job.data.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
        let said = try await Program("python3", debianPackage: "python3").run([
            "-c", Self.oracle, raw, folder.file("old"), device.medium, "\(job.sectorSize)",
            job.skipsHoles ? "skip" : "", runs,
        ])
        let isExact = said.contains("exact")
        let code = finished?["error"]?["code"]?.text
        let passes = outcome.status == 0

        #expect(passes || outcome.status == 74, "\(context)")
        let result = finished?["result"]?.text
        #expect(passes ? result == "pass" || result == "unchanged" : result == "fail", "\(context)")
        // Whatever went wrong: a pass is true.
        if passes { #expect(isExact && said.contains("behind"), "\(context)") }
        switch job.fault {
        case .none: #expect(passes, "\(context)")
        case _ where !struck: #expect(passes, "no fault ever struck: \(context)")
        case .writeError: #expect(!passes && code == "io-error", "\(context)")
        case .readError:
            if !job.skipsHoles { #expect(!passes && code == "io-error", "\(context)") }
        case .flip:
            if !job.skipsHoles { #expect(!passes, "\(context)") }
        case .flipOnce: #expect(passes || code == "counterfeit", "\(context)")
        case .drop:
            // What is there already is not missed.
            let lost = Int(job.place)..<Int(min(job.place + 4096, job.size))
            if !job.skipsHoles, before[lost] != image[lost] { #expect(!passes, "\(context)") }
        }
        if !passes { #expect(code == "io-error" || code == "verify-failed" || code == "counterfeit", "\(context)") }
        return passes
    }

    /// What is on the device before.
    private func content(_ job: WriteCase, _ image: [UInt8]) -> [UInt8] {
        var random = SplitMix(seed: job.seed &+ 1)
        let rest = TestImage.pattern(0..<job.deviceSize, seed: job.seed &+ 77)
        switch job.before {
        case .zeros: return [UInt8](repeating: 0, count: Int(job.deviceSize))
        case .random: return rest
        case .nearlyTheImage:
            var bytes = image + rest[image.count...]
            for _ in 0..<Int.random(in: 0..<4, using: &random) {
                bytes[Int.random(in: 0..<image.count, using: &random)] ^= 0x55
            }
            return bytes
        }
    }

    private func encode(_ raw: String, _ format: WriteCase.Format, _ folder: TemporaryFolder) async throws -> String {
        let path = folder.file("image.\(format.rawValue)")
        switch format {
        case .raw: break
        case .qcow2, .vmdk:
            // Such a file counts in sectors: the last one is filled up.
            try await Program("truncate", debianPackage: "coreutils").run(["--size=%512", raw])
            try await Program("qemu-img", debianPackage: "qemu-utils")
                .run(["convert", "-f", "raw", "-O", format.rawValue, raw, path])
        case .gz: try await shell("gzip -1 < \"$1\" > \"$2\"", raw, path)
        case .xz: try await shell("xz -0 < \"$1\" > \"$2\"", raw, path)
        case .bz2: try await shell("bzip2 -1 < \"$1\" > \"$2\"", raw, path)
        case .zst: try await shell("zstd -q -1 < \"$1\" > \"$2\"", raw, path)
        }
        return path
    }

    private func shell(_ script: String, _ arguments: String...) async throws {
        try await Program("sh", debianPackage: "dash").run(["-c", script, "sh"] + arguments)
    }
}
