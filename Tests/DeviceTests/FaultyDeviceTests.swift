// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Programs
import TestSupport
import Testing

/// The rig that other tests judge by is judged here, by dd(1) and cmp(1).
@Suite("The rig of faulty devices", .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)"))
struct FaultyDeviceTests {
    private static let mebibyte: UInt64 = 1 << 20
    private let bytes = TestImage.pattern(0..<(8 << 20), seed: 3)

    /// Writes 8 MiB with dd, 64 KiB at a time, or what comes before the first error.
    private func write(to device: FaultyDevice) async throws -> Program.Outcome {
        let folder = try TemporaryFolder()
        try TestImage.create(folder.file("image"), size: 8 << 20, data: [0..<(8 << 20)], seed: 3)
        return try await dd("if=\(folder.file("image"))", "of=\(device.path)", "oflag=direct", "conv=fsync")
    }

    private func dd(_ arguments: String...) async throws -> Program.Outcome {
        try await Program("dd", debianPackage: "coreutils").outcome(arguments + ["bs=64K"])
    }

    private func medium(_ device: FaultyDevice) throws -> [UInt8] { try TestImage.bytes(of: device.medium) }

    @Test("without faults the medium holds what was written, and every byte of it was counted", arguments: [512, 4096])
    func sound(sectorSize: Int) async throws {
        let device = try await FaultyDevice(size: 8 << 20, sectorSize: sectorSize)
        defer { device.close() }
        #expect(try await write(to: device).status == 0)
        #expect(try medium(device) == bytes)
        #expect(device.counters.bytesWritten == 8 << 20)
        #expect(device.counters.flushes > 0)
        let read = try await dd("if=\(device.path)", "of=/dev/null", "iflag=direct")
        #expect(read.status == 0)
        #expect(device.counters.bytesRead >= 8 << 20)
    }

    @Test("a write fails where it is to fail, with the error that was asked for", arguments: [EIO, ENOSPC])
    func writeError(errno: Int32) async throws {
        let device = try await FaultyDevice(size: 8 << 20, faults: [.error(errno, at: 5 << 20, on: .write)])
        defer { device.close() }
        let outcome = try await write(to: device)
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains(unsafe String(cString: strerror(errno))), "\(outcome.errors)")
        #expect(try medium(device)[..<(5 << 20)] == bytes[..<(5 << 20)])
        #expect(device.counters.faults == 1)
    }

    @Test("an error after so many bytes, and one on reading")
    func errors() async throws {
        let device = try await FaultyDevice(
            size: 8 << 20,
            faults: [.error(on: .write).after(4 << 20), .error(at: 2 << 20, on: .read)]
        )
        defer { device.close() }
        #expect(try await write(to: device).status == 1)
        #expect(device.counters.bytesWritten == 4 << 20)
        let read = try await dd("if=\(device.path)", "of=/dev/null", "iflag=direct")
        #expect(read.status == 1)
        #expect(read.errors.contains("32+0 records in"), "\(read.errors)")
    }

    @Test("a flipped bit is on the medium, once if so asked for, or only in what is read")
    func flips() async throws {
        let once = try await FaultyDevice(size: 8 << 20, faults: [.flip(at: 1_000_001, on: .write).times(1)])
        defer { once.close() }
        _ = try await write(to: once)
        var flipped = bytes
        flipped[1_000_001] ^= 0x10
        #expect(try medium(once) == flipped)
        _ = try await write(to: once)
        #expect(try medium(once) == bytes)

        let reading = try await FaultyDevice(size: 8 << 20, faults: [.flip(at: 1_000_001, on: .read)], content: bytes)
        defer { reading.close() }
        #expect(try reading.loop.read(count: 8 << 20) == flipped)
        #expect(try medium(reading) == bytes)
    }

    @Test("writes that are dropped leave what was there")
    func drops() async throws {
        let old = TestImage.pattern(0..<(8 << 20), seed: 4)
        let device = try await FaultyDevice(size: 8 << 20, faults: [.drop((2 << 20)..<(3 << 20))], content: old)
        defer { device.close() }
        #expect(try await write(to: device).status == 0)
        var expected = bytes
        expected.replaceSubrange((2 << 20)..<(3 << 20), with: old[(2 << 20)..<(3 << 20)])
        #expect(try medium(device) == expected)
    }

    @Test("a device that lies about its size wraps around, or forgets")
    func counterfeits() async throws {
        let wrapping = try await FaultyDevice(size: 8 << 20, capacity: 6 << 20, beyond: .wrap)
        defer { wrapping.close() }
        #expect(try await write(to: wrapping).status == 0)
        #expect(try medium(wrapping) == Array(bytes[(6 << 20)...] + bytes[(2 << 20)..<(6 << 20)]))
        #expect(try wrapping.loop.read(offset: 6 << 20, count: 4096) == Array(bytes[(6 << 20)...].prefix(4096)))

        let losing = try await FaultyDevice(size: 8 << 20, capacity: 6 << 20, beyond: .lose)
        defer { losing.close() }
        #expect(try await write(to: losing).status == 0)
        #expect(try medium(losing) == Array(bytes[..<(6 << 20)]))
        #expect(try losing.loop.read(offset: 6 << 20, count: 2 << 20).isFilled(with: 0))
    }

    @Test("a device that vanishes gives errors; one that hangs gives nothing until it is taken away")
    func hangs() async throws {
        let gone = try await FaultyDevice(size: 8 << 20, faults: [.vanish(on: .write).after(1 << 20)])
        defer { gone.close() }
        #expect(try await write(to: gone).status == 1)
        #expect(try await write(to: gone).status == 1)

        let hanging = try await FaultyDevice(size: 8 << 20, faults: [.hang(on: .flush)])
        defer { hanging.close() }
        let writing = Task { try await write(to: hanging).status }
        // On a busy machine dd takes its time to get there.
        for _ in 0..<3000 where hanging.counters.faults == 0 { try await Task.sleep(for: .milliseconds(100)) }
        #expect(hanging.counters.bytesWritten == 8 << 20)
        #expect(hanging.counters.faults == 1)
        hanging.close()
        #expect(try await writing.value == 1)
    }

    @Test("it keeps the rates that it was given, for writing and for reading")
    func rates() async throws {
        let device = try await FaultyDevice(size: 8 << 20, writeRate: 16 << 20, readRate: 32 << 20)
        defer { device.close() }
        let start = ContinuousClock.now
        _ = try await write(to: device)
        let written = ContinuousClock.now
        _ = try await dd("if=\(device.path)", "of=/dev/null", "iflag=direct")
        let end = ContinuousClock.now
        // How much longer it takes is up to the machine, and to the other tests.
        #expect(written - start >= .milliseconds(490))
        #expect(end - written >= .milliseconds(240))
    }

    @Test("zeros are a command of their own only where the device has one", arguments: [true, false])
    func zeros(hasOffload: Bool) async throws {
        let device = try await FaultyDevice(size: 8 << 20, hasZeroOffload: hasOffload, content: bytes)
        defer { device.close() }
        let fallocate = try await Program("fallocate", debianPackage: "util-linux")
            .outcome(["--punch-hole", "--offset", "1MiB", "--length", "1MiB", device.path])
        #expect((fallocate.status == 0) == hasOffload)
        #expect(device.counters.bytesZeroed == (hasOffload ? 1 << 20 : 0))
        #expect(try medium(device)[(1 << 20)..<(2 << 20)].allSatisfy { $0 == 0 } == hasOffload)
    }
}
