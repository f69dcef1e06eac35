// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs
import TestSupport
import Testing

@Suite(
    "Targets that are not there yet",
    .enabled(if: LoopDevice.isAvailable, Comment(rawValue: LoopDevice.requirement))
)
struct TargetWaitTests {
    private let folder: TemporaryFolder
    private let image: String

    init() throws {
        folder = try TemporaryFolder()
        image = folder.file("image.raw")
        try TestImage.create(image, size: 1 << 20, data: [0..<4096])
    }

    /// A size that no other disk has, bytes: another run of these tests may go on beside this one.
    private func size(_ number: UInt64) -> UInt64 {
        17_834_496 + (UInt64(getpid() % 4096) * 4 + number) * 512
    }

    @Test("a disk that comes while it is waited for is written, by the hints that it fits")
    func comes() async throws {
        let size = size(1)
        let isWaiting = OneShot<Void>()
        let arguments = [
            "write", image, "transport=loop,size=\(size)", "--allow", "virtual", "--yes", "--wait", "600", "--json",
        ]
        let program = Program(at: try FlashlayerProgram.path)
        let running = Task {
            // One that ends without having waited is not waited for either.
            defer { isWaiting.set(()) }
            return try await program.outcome(arguments) { line in
                if line.contains("waiting for transport=loop,size=\(size), ") { isWaiting.set(()) }
            }
        }
        await isWaiting.value
        let loop = try LoopDevice(size: size, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await running.value
        #expect(outcome.status == 0, "\(outcome.errors)")
        let events = try outcome.events()
        #expect(events.first?["event"]?.text == "waiting")
        #expect(events.first?["targets"] == .array([.string("transport=loop,size=\(size)")]))
        let finished = try #require(events.first { $0["event"]?.text == "finished" })
        #expect(finished["target"]?.text == loop.path)
        #expect(try Array(loop.read(count: 4096)) != [UInt8](repeating: 0xAA, count: 4096))
    }

    @Test("one that does not come in time is 66, and says how long it was waited")
    func late() async throws {
        let outcome = try await FlashlayerProgram.run([
            "write", image, "serial=nobody-has-this", "--yes", "--wait", "1", "--json",
        ])
        #expect(outcome.status == 66, "\(outcome.errors)")
        #expect(outcome.errors.contains("none came in 1 s [not-found]"), "\(outcome.errors)")
        #expect(try outcome.events().compactMap { $0["event"]?.text }.suffix(2) == ["finished", "summary"])
    }

    @Test("Ctrl-C ends the waiting at once")
    func interrupted() async throws {
        let script = #"""
            "$flashlayer" write "$1" serial=nobody-has-this --yes --wait 600 2> "$2" & pid=$!
            until grep -q waiting "$2"; do sleep 0.05; done
            kill -INT $pid
            wait $pid
            """#
        let start = ContinuousClock.now
        let outcome = try await FlashlayerProgram.script(script, arguments: [image, folder.file("errors")])
        #expect(outcome.status == 130)
        #expect(ContinuousClock.now - start < .seconds(500))
    }

    @Test("what waiting does not help is said at once: several that fit, a file, a wrong hint")
    func hopeless() async throws {
        let size = size(2)
        let loops = try (0..<2).map { _ in try LoopDevice(size: size) }
        defer { for loop in loops { loop.close() } }
        for (target, status, code) in [
            ("size=\(size)", 77, "ambiguous"), (image, 77, "not-block-device"), ("serail=x", 64, "usage"),
        ] {
            let outcome = try await FlashlayerProgram.run(["write", image, target, "--yes", "--wait", "600"])
            #expect(Int(outcome.status) == status, "\(outcome.errors)")
            #expect(outcome.errors.contains("[\(code)]"), "\(outcome.errors)")
            if code == "ambiguous" { #expect(loops.allSatisfy { outcome.errors.contains($0.path) }) }
        }
    }

    @Test("a disk that fits and is refused gives its refusal; verify and explain take hints as well")
    func fits() async throws {
        let size = size(3)
        let loop = try LoopDevice(size: size)
        defer { loop.close() }
        let refused = try await FlashlayerProgram.run(["write", image, "size=\(size)", "--yes"])
        #expect(refused.status == 77 && refused.errors.contains("[virtual]"), "\(refused.errors)")
        let verified = try await FlashlayerProgram.run(["verify", image, #"{"name": "\#(loop.path)"}"#])
        #expect(verified.status == 74, "\(verified.errors)")
        let explained = try await FlashlayerProgram.run(["explain", "name=loop\(loop.number)", "--allow", "virtual"])
        #expect(explained.status == 0, "\(explained.errors)")
        #expect(explained.output.contains("in-use            it could be opened exclusively"), "\(explained.output)")
        #expect(explained.output.contains("\(loop.path) may be overwritten"))
        let none = try await FlashlayerProgram.run(["explain", "serial=nobody-has-this", "--json"])
        #expect(none.status == 66)
        let record = try JSONDecoder().decode(JSONValue.self, from: Data(none.output.utf8))
        #expect(record["error"]?["code"]?.text == "not-found" && record["writable"] == .bool(false))
        #expect(record["rules"] == .array([]) && record["disk"] == .null)
        let again = try await FlashlayerProgram.run(["explain", loop.path, "--image", image, "--json"])
        #expect(again.status == 77)
        #expect(again.output.contains(#""writable" : false"#) && again.output.contains(#""verdict" : "fail""#))
    }
}
