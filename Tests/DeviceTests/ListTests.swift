// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Glibc
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
            let list = try await FlashlayerProgram.run(["devices", "--json"])
            device.close()

            #expect(list.status == 0)
            let disks = try JSONDecoder().decode([JSONValue].self, from: Data(list.output.utf8))
            let hung = try #require(disks.first { $0["path"]?.text == device.path })
            #expect(hung["contents"]?.text == "not responding")
        }

        @Test(
            "disks that hang cost one time limit together; another is judged, and written meanwhile",
            .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)")
        )
        func severalHanging() async throws {
            var hung: [FaultyDevice] = []
            for _ in 0..<5 { hung.append(try await FaultyDevice(size: 64 << 20, faults: [.hang(on: .read)])) }
            let devices = hung
            defer { for device in devices { device.close() } }
            let loop = try LoopDevice(size: 8 << 20)
            defer { loop.close() }
            let folder = try TemporaryFolder()
            try TestImage.create(folder.file("image.raw"), size: 4 << 20, data: [0..<(1 << 20)])

            async let list = FlashlayerProgram.run(["devices", "--json"])
            async let written = FlashlayerProgram.run(
                ["write", folder.file("image.raw"), loop.path, "--yes", "--allow", "virtual"]
            )
            let start = ContinuousClock.now
            let disks = try await JSONValue.array(of: list.output)
            // They never answer.
            #expect(ContinuousClock.now - start < .seconds(600))
            for device in hung {
                let disk = try #require(disks.first { $0["path"]?.text == device.path })
                #expect(disk["contents"]?.text == "not responding")
                #expect(Self.codes(disk) == ["no-answer", "virtual"])
            }
            let well = try #require(disks.first { $0["path"]?.text == loop.path })
            #expect(Self.codes(well).first == "virtual")
            let outcome = try await written
            #expect(outcome.status == 0, "\(outcome.errors)")

            // And the one that hangs is refused, by no allowance to be lifted.
            let refused = try await FlashlayerProgram.run(
                ["write", folder.file("image.raw"), hung[0].path, "--yes", "--allow", "virtual"]
            )
            #expect(refused.status == 77)
            #expect(refused.errors.contains("[no-answer]"), "\(refused.errors)")
        }

        private static func codes(_ disk: JSONValue) -> [String] {
            guard case .array(let refusals)? = disk["refusals"] else { return [] }
            return refusals.compactMap { $0["code"]?.text }
        }

        @Test(
            "folders that are empty, or not there, are looked into by a child, and so is where a loop device's file is"
        )
        func looks() throws {
            let folder = try TemporaryFolder()
            try folder.write("", to: "full/file")
            try #require(unsafe mkdir(folder.file("empty"), 0o755) == 0)
            let observer = ObserverProcess(executable: try FlashlayerProgram.path)
            let (full, empty, gone) = (folder.file("full"), folder.file("empty"), folder.file("gone"))
            #expect(observer.unseen(of: [full, empty, gone]) == [empty, gone])
            #expect(observer.unseen(of: []) == [])
            guard LoopDevice.isAvailable else { return }
            try TestImage.create(folder.file("disk"), size: 1 << 20, data: [])
            let loop = try LoopDevice(attaching: folder.file("disk"))
            defer { loop.close() }
            func isAtPath() -> Bool? {
                guard case .backed(_, _, _, let isAtPath)? = observer.loops(at: [loop.path])[loop.path] else {
                    return nil
                }
                return isAtPath
            }
            #expect(isAtPath() == true)
            // The kernel follows a file that is renamed, and shows its new name; a mount over its folder it does not see.
            try #require(unsafe unlink(folder.file("disk")) == 0)
            #expect(isAtPath() == false)
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
