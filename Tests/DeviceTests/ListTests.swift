// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

/// Part of a suite that runs one test at a time: a disk that hangs slows every list that is made meanwhile.
extension RefusalTests {
    @Suite("Listing the devices")
    struct ListTests {
        @Test(
            "a disk that hangs delays the list, is shown as not responding, and does not keep the program",
            .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)")
        )
        func hanging() async throws {
            let device = try await FaultyDevice(size: 64 << 20, readLatency: 5000)
            defer { device.close() }
            let start = ContinuousClock.now
            let list = try await FlashlayerProgram.run(["devices", "--json"])
            let seconds = ContinuousClock.now - start
            device.close()

            #expect(list.status == 0)
            // Reading its superblocks takes minutes.
            #expect(seconds < .seconds(20))
            let disks = try JSONDecoder().decode([JSONValue].self, from: Data(list.output.utf8))
            let hung = try #require(disks.first { $0["path"]?.text == device.path })
            #expect(hung["contents"]?.text == "not responding")
        }

        @Test(
            "a loop device is listed with --all, and the rest is counted",
            .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)")
        )
        func table() async throws {
            let loop = try LoopDevice(size: 1 << 20)
            defer { loop.close() }
            let all = try await FlashlayerProgram.run(["devices", "--all"])
            #expect(all.output.split(separator: "\n").contains { $0.hasPrefix("\(loop.path) ") })
            #expect(all.output.contains("virtual: it is a loop device over \(loop.backingFile)"))
            let some = try await FlashlayerProgram.run(["devices"])
            #expect(some.status == 0)
            #expect(!some.output.contains("\(loop.path) "))
            #expect(some.errors.contains("--all"))
        }
    }
}
