// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs
import ServiceManager
import Station
import StationProtocol
import StationService
import Synchronization
import TestSupport

/// A conductor of four slots, an image with its map, and the sticks that the test plugs in.
struct PretendStation {
    static let map: SlotMap = {
        var map = SlotMap()
        for port in 1...4 {
            try? map.teach(Slot(name: "\(port)", controller: "c", usb2: "1.\(port)", usb3: "2.\(port)", speed: 5000))
        }
        return map
    }()

    let folder: TemporaryFolder
    let image: String
    let conductor: Conductor
    let time = Time()

    /// Seconds since 1970, as the test has it.
    final class Time: Sendable {
        private let seconds = Mutex(1_000_000.0)
        var now: Double { seconds.withLock { $0 } }
        func pass(_ more: Double) { seconds.withLock { $0 += more } }
    }

    init(_ hands: any StationHands, archive: any StationArchive = VolatileArchive(), size: Int = 8 << 20) async throws {
        folder = try TemporaryFolder()
        image = folder.file("image.raw")
        try TestImage.create(image, size: UInt64(size), data: [0..<UInt64(size / 2)])
        let map = try await FlashlayerProgram.run(["map", image])
        guard map.status == 0 else { throw FlashlayerError(.fault, map.errors) }
        conductor = Conductor(
            station: "test",
            map: Self.map,
            present: [],
            hands: hands,
            archive: archive,
            journal: Journal(identifier: "test", socketPath: folder.file("no-journal")) { _ in },
            clock: { [time] in time.now }
        )
    }

    static func stick(_ slot: Int, _ sequence: UInt64, serial: String? = nil, size: UInt64 = 8 << 30) -> Medium {
        Medium(
            sysfsPath: "/sys/devices/c/usb2/2-\(slot)/\(sequence)",
            diskSequence: sequence,
            port: UsbPortPath(controller: "c", side: .usb3, chain: "2.\(slot)"),
            path: "/dev/pretended\(sequence)",
            size: size,
            serial: serial ?? "S\(sequence)",
            vendorProduct: "0781:5581",
            linkSpeed: 5000
        )
    }

    func arm(
        _ slots: String = "1-3",
        _ change: (inout ArmRequest) -> Void = { _ in },
        seen: [Medium] = [],
        highest: UInt64 = 10
    ) async throws {
        var request = ArmRequest(image: image, slots: slots)
        change(&request)
        try await conductor.arm(request) { MediaCensus(media: seen, highestSequence: highest) }
    }

    func slot(_ number: Int) -> StationStatus.Slot { conductor.bulletin.latest.status.slots[number - 1] }

    /// Waits until the station shows it. A test that waits for what never comes is ended by its time limit.
    func wait(for isThere: (StationStatus) -> Bool) async throws {
        while !isThere(conductor.bulletin.latest.status) { try await Task.sleep(for: .milliseconds(5)) }
    }

    func wait(for number: Int, _ state: SlotState) async throws {
        try await wait { $0.slots[number - 1].state == state }
    }
}
