// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import FoundationEssentials
import Model
import Programs
import Station
import StationProtocol
import StationService
import TestSupport
import Testing

/// Real engines upon real devices, which are told to the station as sticks in its slots. The gate is the real one, less
/// the rule against loop devices.
@Suite(
    "A station with real engines",
    .timeLimit(.minutes(30)),
    .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)")
)
struct RealEngineTests {
    private func station() async throws -> PretendStation {
        try await PretendStation(
            EngineHands(executable: try FlashlayerProgram.path, allowed: [.virtual]),
            size: 24 << 20
        )
    }

    /// A loop device as a stick in a slot.
    private func stick(_ path: String, _ slot: Int, serial: String) throws -> Medium {
        let disk = try Inventory().disk(at: path)
        return Medium(
            sysfsPath: disk.subject.node.sysfsPath,
            diskSequence: disk.diskseq,
            port: UsbPortPath(controller: "c", side: .usb3, chain: "2.\(slot)"),
            path: path,
            size: disk.size,
            serial: serial,
            vendorProduct: "0781:5581",
            linkSpeed: 5000
        )
    }

    private func holds(_ image: String, _ path: String) async throws -> Bool {
        let script = #"cmp --silent --bytes=$(stat --format %s "$1") "$1" "$2""#
        return try await Program("sh", debianPackage: "dash").outcome(["-c", script, "sh", image, path]).status == 0
    }

    @Test("two sticks are written beside each other; one that comes again is told from one that lost its image")
    func writes() async throws {
        let station = try await station()
        let devices = try (0..<2).map { _ in try LoopDevice(size: 24 << 20, fill: 0xAA) }
        defer { for device in devices { device.close() } }
        try await station.arm("1-3", highest: 0)
        for (index, device) in devices.enumerated() {
            await station.conductor.hear(.seen(try stick(device.path, index + 1, serial: "S\(index)")))
        }
        for (index, device) in devices.enumerated() {
            try await station.wait { [.passed, .failed, .refused].contains($0.slots[index].state) }
            #expect(station.slot(index + 1).state == .passed, "\(station.slot(index + 1).reason ?? "")")
            #expect(try await holds(station.image, device.path))
            await station.conductor.hear(.left(sysfsPath: try stick(device.path, index + 1, serial: "").sysfsPath))
            try device.reattach()
        }
        // The second one is not what it was any more.
        try await Program("dd", debianPackage: "coreutils").run([
            "if=/dev/urandom", "of=\(devices[1].path)", "bs=512", "count=1", "seek=9000", "conv=notrunc,fsync",
            "status=none",
        ])
        for (index, device) in devices.enumerated() {
            await station.conductor.hear(.seen(try stick(device.path, index + 1, serial: "S\(index)")))
        }
        try await station.wait(for: 1, .alreadyDone)
        try await station.wait(for: 2, .passed)
        #expect(try await holds(station.image, devices[1].path))
    }

    @Test("what is too small, and what has another medium at its node by now, is refused with its code")
    func refused() async throws {
        let station = try await station()
        let small = try LoopDevice(size: 8 << 20)
        defer { small.close() }
        let swapped = try LoopDevice(size: 24 << 20, fill: 0xAA)
        defer { swapped.close() }
        try await station.arm("1-3", highest: 0)
        let before = try stick(swapped.path, 2, serial: "B")
        try swapped.reattach()
        await station.conductor.hear(.seen(try stick(small.path, 1, serial: "A")))
        await station.conductor.hear(.seen(before))
        try await station.wait { $0.slots[0].state == .refused && $0.slots[1].state == .refused }
        #expect(station.slot(1).code == "too-small")
        #expect(station.slot(2).code == "changed")
        #expect(try swapped.read(count: 4096).isFilled(with: 0xAA))
    }

    @Test(
        "a stick that vanishes and one that gives errors fail, each with its reason, and the sound one passes",
        .enabled(if: FaultyDevice.isAvailable, "\(FaultyDevice.requirement)")
    )
    func faults() async throws {
        let station = try await station()
        let gone = try await FaultyDevice(size: 32 << 20, faults: [.vanish(on: .write).after(8 << 20)])
        defer { gone.close() }
        let bad = try await FaultyDevice(size: 32 << 20, faults: [.error(at: 5_555_555, on: .write)])
        defer { bad.close() }
        let sound = try LoopDevice(size: 24 << 20, fill: 0xAA)
        defer { sound.close() }
        try await station.arm("1-3", highest: 0)
        for (index, path) in [gone.path, bad.path, sound.path].enumerated() {
            await station.conductor.hear(.seen(try stick(path, index + 1, serial: "S\(index)")))
        }
        try await station.wait { status in
            status.slots.prefix(3).allSatisfy { [.passed, .failed, .refused].contains($0.state) }
        }
        #expect(station.slot(1).state == .failed && station.slot(2).state == .failed)
        #expect(["device-gone", "io-error"].contains(station.slot(1).code))
        #expect(station.slot(2).code == "io-error")
        #expect(station.slot(3).state == .passed)
        #expect(try await holds(station.image, sound.path))
    }
}
