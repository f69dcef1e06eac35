// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Programs
import TestSupport
import Testing

/// One way in which a device fails, and what the program has to make of it.
struct FaultCase: Sendable, CustomTestStringConvertible {
    typealias Fault = FaultyDevice.Fault

    var name: String
    var faults: [Fault]
    /// Bytes that the device really has; nil: as many as it says.
    var capacity: UInt64?
    var beyond = FaultyDevice.Beyond.wrap
    var sectorSize = 512
    var arguments: [String] = []
    var result = "fail"
    var status: Int32 = 74
    /// Any of these.
    var codes: [String] = []
    /// Where the error is said to be, in bytes; nil: not looked at.
    var offset: ClosedRange<Double>?
    /// What the message has to say, in any letter case.
    var word = ""
    var repaired = 0
    /// Bytes that may have been written to the device at most.
    var written = UInt64.max
    /// Whether nobody can read the device afterwards, not even blkid.
    var isDeaf = false

    var testDescription: String { name }

    /// Where most faults are: in data, in the second chunk, and at no place where a probe would look.
    static let place: UInt64 = 5_555_555

    /// The sector of the place, and the chunk around it.
    private static let atSector = Double(place / 512 * 512)...Double(place)
    private static let inChunk = Double(4 << 20)...Double((8 << 20) - 1)

    static let all: [FaultCase] = [
        FaultCase(
            name: "EIO on write",
            faults: [.error(at: place, on: .write)],
            codes: ["io-error"],
            offset: inChunk
        ),
        FaultCase(
            name: "EIO on write, in the last MiB of the image",
            faults: [.error(at: (24 << 20) - 512, on: .write).after(9 << 20)],
            codes: ["io-error"],
            offset: Double(20 << 20)...Double((24 << 20) - 1)
        ),
        FaultCase(
            name: "ENOSPC from an offset on",
            faults: [.error(ENOSPC, in: (16 << 20)..<(64 << 20), on: .write).after(8 << 20)],
            codes: ["io-error", "image-too-large", "counterfeit"]
        ),
        FaultCase(
            name: "EIO on every write after 12 MiB",
            faults: [.error(on: .write).after(12 << 20)],
            codes: ["io-error"]
        ),
        FaultCase(
            name: "EIO on reading back",
            faults: [.error(at: place, on: .read)],
            arguments: ["--full"],
            codes: ["io-error"],
            offset: inChunk
        ),
        FaultCase(name: "EIO on flush", faults: [.error(on: .flush)], codes: ["io-error"]),
        FaultCase(
            name: "a bit flipped on every write",
            faults: [.flip(at: place, on: .write)],
            codes: ["verify-failed"],
            offset: atSector,
            word: "flipped"
        ),
        FaultCase(
            name: "a bit flipped on every read",
            faults: [.flip(at: place, on: .read)],
            arguments: ["--full"],
            codes: ["verify-failed"],
            offset: atSector,
            word: "flipped"
        ),
        FaultCase(
            name: "a bit flipped once: repaired",
            faults: [.flip(at: place, on: .write).times(1)],
            result: "pass",
            status: 0,
            repaired: 1
        ),
        FaultCase(
            name: "a bit flipped once, repair forbidden",
            faults: [.flip(at: place, on: .write).times(1)],
            arguments: ["--repair", "0"],
            codes: ["verify-failed"],
            offset: atSector,
            word: "flipped"
        ),
        FaultCase(
            name: "a write lost on a used disk",
            faults: [.drop((5 << 20)..<(6 << 20))],
            codes: ["verify-failed"],
            offset: inChunk,
            word: "stale"
        ),
        FaultCase(
            name: "a write lost once: repaired",
            faults: [.drop(place..<(place + 1)).times(1)],
            result: "pass",
            status: 0,
            repaired: 1
        ),
        FaultCase(
            name: "a capacity that wraps around",
            faults: [],
            capacity: 20 << 20,
            codes: ["counterfeit"],
            written: 12 << 20
        ),
        FaultCase(
            name: "a capacity that is a lie, and loses what is beyond",
            faults: [],
            capacity: 20 << 20,
            beyond: .lose,
            codes: ["counterfeit"],
            written: 12 << 20
        ),
        FaultCase(
            name: "a device that vanishes",
            faults: [.vanish(on: .write).after(12 << 20)],
            codes: ["device-gone", "io-error"],
            isDeaf: true
        ),
        FaultCase(
            name: "a hang on write",
            faults: [.hang(on: .write).after(12 << 20)],
            arguments: ["--timeout", "4"],
            codes: ["not-responding", "timeout"],
            isDeaf: true
        ),
        FaultCase(
            name: "a hang on flush",
            faults: [.hang(on: .flush).after(12 << 20)],
            arguments: ["--timeout", "4"],
            codes: ["not-responding", "timeout"],
            isDeaf: true
        ),
        FaultCase(
            name: "a hang on reading back",
            faults: [.hang(at: place, on: .read).after(20 << 20)],
            arguments: ["--timeout", "4"],
            codes: ["not-responding", "timeout"],
            isDeaf: true
        ),
        FaultCase(name: "sectors of 4 KiB and no fault", faults: [], sectorSize: 4096, result: "pass", status: 0),
        FaultCase(
            name: "sectors of 4 KiB and a bit flipped on every write",
            faults: [.flip(at: place, on: .write)],
            sectorSize: 4096,
            codes: ["verify-failed"],
            offset: Double(place / 4096 * 4096)...Double(place),
            word: "flipped"
        ),
    ]
}

/// Devices that fail, each in its own way: what the program says, how it ends, how long it takes, and what is left.
@Suite("Failing devices", .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)"), .serialized)
struct FaultMatrixTests {
    private static let imageSize: UInt64 = 24 << 20
    private static let deviceSize: UInt64 = 32 << 20

    private let folder: TemporaryFolder
    private let image: String

    init() async throws {
        folder = try TemporaryFolder()
        image = folder.file("image.raw")
        try TestImage.create(image, size: Self.imageSize, data: [(1 << 20)..<(14 << 20), (20 << 20)..<(23 << 20)])
    }

    /// A device that is full of other data and has a table of its own, at both ends.
    private func device(_ fault: FaultCase) async throws -> FaultyDevice {
        let old = folder.file("old")
        try TestImage.create(old, size: Self.deviceSize, data: [(1 << 20)..<(31 << 20)], seed: 99)
        try await DiskLabel.write(to: old, sectorSize: fault.sectorSize)
        try await DiskLabel.write(to: image, sectorSize: fault.sectorSize)
        return try await FaultyDevice(
            size: Self.deviceSize,
            capacity: fault.capacity,
            beyond: fault.beyond,
            sectorSize: fault.sectorSize,
            faults: fault.faults,
            content: try TestImage.bytes(of: old)
        )
    }

    /// All of the image, but for its partition table, whose partitions are the same at the same places: the disk is
    /// larger, so that the table itself is another.
    private func holdsImage(_ path: String, sectorSize: Int = 512) async throws -> Bool {
        let skipped: UInt64 = 1 << 20
        let compared = try await Program("cmp", debianPackage: "diffutils").outcome([
            "-i", "\(skipped)", "-n", "\(Self.imageSize - 2 * skipped)", image, path,
        ])
        let listing = try await Program("bash", debianPackage: "bash").outcome([
            "-c",
            #"""
            list() { partx --show --sector-size "$2" --noheadings --output START,SECTORS,UUID "$1"; }
            [ "$(list "$1" "$3")" = "$(list "$2" "$3")" ]
            """#,
            "bash", image, path, "\(sectorSize)",
        ])
        return compared.status == 0 && listing.status == 0
    }

    /// Until a program that waits for what never comes is let go: far more than a busy machine needs for any of this.
    private static let patience = Duration.seconds(400)

    private func run(
        _ device: FaultyDevice,
        beside others: [String] = [],
        _ arguments: [String]
    ) async throws -> (Program.Outcome, Duration) {
        // A program that hangs is let go, and fails by its time.
        let release = Task {
            try await Task.sleep(for: Self.patience)
            device.close()
        }
        defer { release.cancel() }
        let start = ContinuousClock.now
        let outcome = try await FlashlayerProgram.run(
            ["write", image, device.path] + others + ["--allow", "virtual", "--yes", "--json"] + arguments
        )
        return (outcome, ContinuousClock.now - start)
    }

    private func judge(_ fault: FaultCase, _ device: FaultyDevice, _ outcome: Program.Outcome) async throws {
        #expect(outcome.status == fault.status, "\(outcome.output)\(outcome.errors)")
        #expect(!outcome.errors.contains("leaked"), "\(outcome.errors)")
        let events = try outcome.events()
        let finished = try #require(
            events.first { $0["event"]?.text == "finished" && $0["target"]?.text == device.path },
            "\(outcome.output)\(outcome.errors)"
        )
        #expect(finished["result"]?.text == fault.result, "\(finished)")
        #expect(finished["chunksRepaired"]?.number == Double(fault.repaired))
        #expect(events.last?["exitStatus"]?.number == Double(fault.status))
        #expect(device.counters.bytesWritten <= fault.written)
        guard fault.result == "fail" else {
            #expect(try await holdsImage(device.medium, sectorSize: fault.sectorSize))
            return
        }
        let error = try #require(finished["error"])
        #expect(fault.codes.contains(error["code"]?.text ?? ""), "\(error)")
        if let range = fault.offset { #expect(range.contains(error["offset"]?.number ?? -1), "\(error)") }
        let message = error["message"]?.text?.lowercased() ?? ""
        #expect(fault.word.isEmpty || message.contains(fault.word), "\(error)")
        // What the medium holds is judged behind the back of the device, which may not answer any more.
        if !fault.isDeaf { #expect(try await !DiskLabel.isSeen(on: device.path)) }
        if fault.capacity == nil, fault.sectorSize == 512 { #expect(try await !DiskLabel.isSeen(on: device.medium)) }
    }

    @Test(
        "alone, it fails with its code, its place and its status, in time, and keeps no table",
        arguments: FaultCase.all
    )
    func alone(fault: FaultCase) async throws {
        let device = try await device(fault)
        defer { device.close() }
        let (outcome, seconds) = try await run(device, fault.arguments)
        #expect(seconds < Self.patience)
        try await judge(fault, device, outcome)
    }

    @Test("beside a sound one, it fails the same way, and the sound one passes", arguments: FaultCase.all)
    func besideSoundOne(fault: FaultCase) async throws {
        let device = try await device(fault)
        defer { device.close() }
        let sound = try LoopDevice(size: Self.deviceSize, sectorSize: fault.sectorSize, fill: 0xAA)
        defer { sound.close() }
        let (outcome, seconds) = try await run(device, beside: [sound.path], fault.arguments)
        #expect(seconds < Self.patience)
        try await judge(fault, device, outcome)
        #expect(try await holdsImage(sound.path, sectorSize: fault.sectorSize))
        let finished = try outcome.events().first {
            $0["event"]?.text == "finished" && $0["target"]?.text == sound.path
        }
        #expect(finished?["result"]?.text == "pass", "\(outcome.output)\(outcome.errors)")
    }

    @Test("many that hang at the read-back keep the sound ones from nothing")
    func manyHang() async throws {
        let hang = FaultCase(name: "", faults: [.hang(at: FaultCase.place, on: .read).after(20 << 20)])
        var devices: [FaultyDevice] = []
        defer { for device in devices { device.close() } }
        for _ in 0..<9 { devices.append(try await device(hang)) }
        let sound = try (0..<3).map { _ in try LoopDevice(size: Self.deviceSize) }
        defer { for loop in sound { loop.close() } }
        let others = devices.dropFirst().map(\.path) + sound.map(\.path)
        let (outcome, seconds) = try await run(devices[0], beside: others, ["--timeout", "4"])
        #expect(outcome.status == 74)
        #expect(seconds < Self.patience)
        let finished = try outcome.events().filter { $0["event"]?.text == "finished" }
        #expect(finished.count == 12)
        for loop in sound {
            let result = finished.first { $0["target"]?.text == loop.path }?["result"]?.text
            #expect(result == "pass", "\(outcome.output)\(outcome.errors)")
            #expect(try await holdsImage(loop.path))
        }
    }

    @Test(
        "Ctrl-C ends the program within a second even while the engine is stuck in the kernel, and says so",
        arguments: ["write", "flush", "read"]
    )
    func interruptedWhileHanging(operation: String) async throws {
        let hang: FaultyDevice.Fault =
            switch operation {
            case "write": .hang(on: .write).after(12 << 20)
            case "flush": .hang(on: .flush).after(12 << 20)
            default: .hang(at: FaultCase.place, on: .read).after(20 << 20)
            }
        let device = try await device(FaultCase(name: "", faults: [hang]))
        defer { device.close() }
        let running = Task { [image, folder] in
            try await FlashlayerProgram.script(
                #"""
                "$flashlayer" write "$1" "$2" --allow virtual --yes --json > "$3/out" 2> "$3/errors" &
                echo $! > "$3/pid"
                until [ -e "$3/hangs" ]; do sleep 0.02; done
                kill -s INT $!
                start=$(date +%s%N)
                wait $!
                status=$?
                echo $((($(date +%s%N) - start) / 1000000))
                exit $status
                """#,
                arguments: [image, device.path, folder.path]
            )
        }
        let release = Task {
            try await Task.sleep(for: Self.patience)
            device.close()
        }
        defer { release.cancel() }
        for _ in 0..<4000 where device.counters.faults == 0 { try await Task.sleep(for: .milliseconds(50)) }
        #expect(device.counters.faults > 0, "it never came to the hang")
        // Once it hangs, whatever can be in flight is.
        try await Task.sleep(for: .milliseconds(300))
        try folder.write("", to: "hangs")
        let outcome = try await running.value
        let milliseconds = try #require(Int(outcome.output.split(separator: "\n").last ?? ""))
        #expect(outcome.status == 130)
        // A second where nothing else runs; it never would while it waited for the device.
        #expect(milliseconds <= 10_000)
        let said = String(decoding: try TestImage.bytes(of: folder.file("errors")), as: UTF8.self)
        let events = String(decoding: try TestImage.bytes(of: folder.file("out")), as: UTF8.self)
        #expect((said + events).contains("left behind") || (said + events).contains("abandoned"), "\(said)\(events)")
        #expect(events.contains(#""result":"cancelled""#), "\(events)")
    }

    @Test("a disk that is slow, but answers, is waited for")
    func slow() async throws {
        let device = try await FaultyDevice(
            size: Self.deviceSize,
            writeRate: 4 << 20,
            readRate: 48 << 20,
            writeLatency: 30
        )
        defer { device.close() }
        let (outcome, _) = try await run(device, ["--timeout", "3"])
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        #expect(try await holdsImage(device.medium))
    }

    @Test("a write-protected disk is refused, and so is the job")
    func readOnly() async throws {
        let old = folder.file("protected")
        try TestImage.create(old, size: Self.deviceSize, data: [0..<Self.deviceSize], seed: 4)
        let loop = try LoopDevice(attaching: old, readOnly: true)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.run([
            "write", image, loop.path, "--allow", "virtual", "--yes", "--json",
        ])
        #expect(outcome.status == 77)
        #expect(try outcome.events().last?["error"]?["code"]?.text == "read-only")
        #expect(try TestImage.bytes(of: old) == TestImage.pattern(0..<Self.deviceSize, seed: 4))
    }
}
