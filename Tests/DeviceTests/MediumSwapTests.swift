// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Glibc
import Model
import TestSupport
import Testing
import Threads

/// A stick is pulled and another one put in at the same node, at any moment between the choice and the write.
@Suite(
    "A medium that is swapped",
    .serialized,
    .enabled(if: LoopDevice.isAvailable, Comment(rawValue: LoopDevice.requirement))
)
struct MediumSwapTests {
    private let folder: TemporaryFolder
    private let size = 1 << 20

    init() throws {
        folder = try TemporaryFolder()
    }

    /// A medium full of one byte.
    private func medium(_ name: String, _ byte: UInt8) throws -> String {
        let path = folder.file(name)
        try Data([UInt8](repeating: byte, count: size)).write(to: URL(filePath: path))
        return path
    }

    private func isWhole(_ path: String, _ byte: UInt8) throws -> Bool {
        try Data(contentsOf: URL(filePath: path)).allSatisfy { $0 == byte }
    }

    private func identity(_ path: String) throws -> DeviceIdentity {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        return try DeviceIdentity(of: descriptor, path: path)
    }

    @Test("500 times: what was chosen is written, or nothing is")
    func claims() throws {
        let loop = try LoopDevice(size: UInt64(size))
        defer { loop.close() }
        let chosen = try medium("chosen", 0xAA)
        let other = try medium("other", 0xBB)
        var random = SplitMix(seed: 7)
        let block = AlignedBuffer(count: 4096)
        _ = unsafe block.mutableBytes.initializeMemory(as: UInt8.self, repeating: 0xCC)
        var written = 0
        var refused = 0
        for round in 0..<500 {
            try loop.reattach(chosen)
            let identity = try identity(loop.path)
            // The swap begins somewhere between the choice and the end of the write; at times it is over before the
            // claim, and at times it comes when all is done, so that both ends are run however busy the machine is.
            let spins = random.next() % 4000
            let done = Gate()
            let swapper = try OwnThread(named: "swapper") {
                if round % 4 == 1 { done.wait() }
                if round % 4 > 1 { for _ in 0..<spins { _ = getppid() } }
                try? loop.reattach(other)
            }
            if round % 4 == 0 { swapper.join() }
            do {
                let claim = try Claim(identity, lockTimeout: .zero)
                try claim.confirm()
                let count = unsafe pwrite(claim.descriptor, block.bytes.baseAddress, 4096, 8192)
                #expect(count == 4096)
                written += 1
            } catch let error as FlashlayerError {
                #expect([.changed, .noMedium, .inUse, .busy].contains(error.code), "\(error)")
                refused += 1
            }
            done.open()
            swapper.join()
        }
        loop.detach()
        #expect(try isWhole(other, 0xBB), "a byte landed on the wrong medium")
        #expect(written + refused == 500)
        // Both ends of the race were run.
        #expect(written > 0 && refused > 0, "written \(written), refused \(refused)")
    }

    @Test("the program writes the medium that it chose, whenever another one comes")
    func program() async throws {
        let loop = try LoopDevice(size: UInt64(size))
        defer { loop.close() }
        let image = folder.file("image.raw")
        try Data([UInt8](repeating: 0x11, count: size)).write(to: URL(filePath: image))
        for round in 0..<10 {
            let media = [try medium("first", 0xAA), try medium("second", 0xBB)]
            try loop.reattach(media[0])
            let first = try identity(loop.path).diskSequence
            async let outcome = FlashlayerProgram.run(
                ["write", image, loop.path, "--yes", "--allow", "virtual", "--json", "--no-verify"]
            )
            // From the start of the program to its end.
            try await onOwnThread(named: "swapper") {
                for _ in 0..<(round * 150_000) { _ = getppid() }
                try loop.reattach(media[1])
            }
            let events = try await outcome.events()
            loop.detach()
            let plan = events.first { $0["event"]?.text == "plan" }
            guard case .array(let targets)? = plan?["targets"], let sequence = targets.first?["diskseq"]?.number else {
                // Refused before anything was planned: the node was empty at that moment.
                #expect(try isWhole(media[0], 0xAA) && isWhole(media[1], 0xBB))
                continue
            }
            let isFirst = sequence == first.map { Double($0) }
            #expect(try isFirst ? isWhole(media[1], 0xBB) : isWhole(media[0], 0xAA), "round \(round)")
            let finished = events.first { $0["event"]?.text == "finished" }
            if finished?["result"]?.text == "pass" {
                #expect(try isWhole(media[isFirst ? 0 : 1], 0x11), "round \(round)")
            }
        }
    }
}
