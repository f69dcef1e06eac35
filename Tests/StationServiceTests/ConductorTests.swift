// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Station
import StationProtocol
import StationService
import Synchronization
import TestSupport
import Testing

@Suite("The station's conductor", .timeLimit(.minutes(30)))
struct ConductorTests {
    private let hands = PretendHands()

    @Test("a stick that comes into an armed slot is judged, written and passed; others are left alone")
    func passes() async throws {
        let station = try await PretendStation(hands)
        let old = PretendStation.stick(2, 5)
        await station.conductor.hear(.seen(old))
        try await station.arm("1-3", seen: [old])
        await station.conductor.hear(.seen(PretendStation.stick(4, 11)))
        let stick = PretendStation.stick(1, 12)
        await station.conductor.hear(.seen(stick))
        try await station.wait { $0.slots[0].bytesDone == 1 << 20 }
        #expect(station.slot(1).state == .writing)
        #expect(station.slot(1).bytesTotal == 8 << 20)
        try await untilAsked("write /dev/pretended12")
        hands.end(stick.path, .passed)
        try await station.wait(for: 1, .passed)
        #expect(hands.asked == ["judge /dev/pretended12", "write /dev/pretended12"])
        #expect(station.slot(2).state == .present && station.slot(4).state == .present)
        #expect(station.slot(1).bytesDone == nil, "what is done has no progress")
        #expect(station.conductor.bulletin.latest.status.arming?.passed == 1)
        // What is green stays until it is pulled.
        await station.conductor.hear(.enumerated([stick]))
        #expect(station.slot(1).state == .passed)
        await station.conductor.hear(.enumerated([]))
        #expect(station.slot(1).state == .empty)
    }

    private func untilAsked(_ what: String) async throws {
        while !hands.asked.contains(what) { try await Task.sleep(for: .milliseconds(5)) }
    }

    @Test("what the gate refuses is not written, and says why")
    func refused() async throws {
        let station = try await PretendStation(hands)
        try await station.arm()
        hands.refuse("/dev/pretended11", .refused(.mounted, "it is mounted"))
        await station.conductor.hear(.seen(PretendStation.stick(1, 11)))
        try await station.wait(for: 1, .refused)
        #expect(station.slot(1).code == "mounted" && station.slot(1).reason == "it is mounted")
        #expect(hands.asked == ["judge /dev/pretended11"])
    }

    @Test("a stick that passed before is compared, and not written again; one that lost the image is")
    func alreadyDone() async throws {
        let station = try await PretendStation(hands)
        try await station.arm()
        for (sequence, holds) in [(11, true), (12, true), (13, false)] as [(UInt64, Bool)] {
            let stick = PretendStation.stick(1, sequence, serial: "one")
            if holds { hands.hold(stick.path) }
            await station.conductor.hear(.seen(stick))
            if sequence == 12 {
                try await station.wait(for: 1, .alreadyDone)
            } else {
                try await untilAsked("write \(stick.path)")
                hands.end(stick.path, .passed)
                try await station.wait(for: 1, .passed)
            }
            await station.conductor.hear(.left(sysfsPath: stick.sysfsPath))
        }
        #expect(
            hands.asked == [
                "judge /dev/pretended11", "write /dev/pretended11", "judge /dev/pretended12",
                "compare /dev/pretended12", "judge /dev/pretended13", "compare /dev/pretended13",
                "write /dev/pretended13",
            ]
        )
    }

    @Test("a stick that is pulled fails with a reason that stays until the next one; other slots go on")
    func pulled() async throws {
        let station = try await PretendStation(hands)
        try await station.arm()
        let (one, two) = (PretendStation.stick(1, 11), PretendStation.stick(2, 12))
        for stick in [one, two] {
            await station.conductor.hear(.seen(stick))
            try await untilAsked("write \(stick.path)")
        }
        await station.conductor.hear(.enumerated([two]))
        try await station.wait(for: 1, .failed)
        #expect(station.slot(1).code == "device-gone")
        #expect(station.slot(2).state == .writing)
        hands.end(two.path, .failed(.ioError, "it gave an error"))
        try await station.wait(for: 2, .failed)
        #expect(station.slot(2).reason == "it gave an error")
    }

    @Test("disarming lets the jobs end, or stops them; stopping ends them all")
    func disarmed() async throws {
        let station = try await PretendStation(hands)
        try await station.arm()
        let (one, two) = (PretendStation.stick(1, 11), PretendStation.stick(2, 12))
        await station.conductor.hear(.seen(one))
        try await untilAsked("write \(one.path)")
        await station.conductor.disarm(cancel: false)
        #expect(station.conductor.bulletin.latest.status.arming == nil)
        await station.conductor.hear(.seen(two))
        #expect(station.slot(2).state == .present)
        hands.end(one.path, .passed)
        try await station.wait(for: 1, .passed)

        try await station.arm(highest: 12)
        let three = PretendStation.stick(3, 13)
        await station.conductor.hear(.seen(three))
        try await untilAsked("write \(three.path)")
        await station.conductor.stop(upTo: .seconds(600))
        #expect(station.slot(3).state == .failed)
        #expect(station.slot(3).code == "interrupted")
        #expect(!hands.asked.contains("judge \(two.path)"))
    }

    @Test("the count is not passed, and ends the arming; so does its time")
    func ends() async throws {
        let station = try await PretendStation(hands)
        try await station.arm("1-2", { $0.count = 1 })
        let (one, two) = (PretendStation.stick(1, 11), PretendStation.stick(2, 12))
        await station.conductor.hear(.seen(one))
        await station.conductor.hear(.seen(two))
        try await untilAsked("write \(one.path)")
        hands.end(one.path, .passed)
        try await station.wait { $0.arming == nil }
        #expect(!hands.asked.contains("judge \(two.path)"))

        try await station.arm("1-2", { $0.until = Int64(station.time.now) + 60 }, highest: 12)
        await station.conductor.tick()
        #expect(station.conductor.bulletin.latest.status.arming != nil)
        station.time.pass(61)
        await station.conductor.tick()
        #expect(station.conductor.bulletin.latest.status.arming == nil)
    }

    @Test("what cannot be armed says why, and arms nothing")
    func unarmable() async throws {
        let station = try await PretendStation(hands)
        let cases: [(ErrorCode, (inout ArmRequest) -> Void)] = [
            (.usage, { $0.slots = "1-5" }), (.usage, { $0.count = 0 }), (.usage, { $0.until = 5 }),
            (.usage, { $0.largest = 1 << 20 }), (.usage, { ($0.smallest, $0.largest) = (2 << 30, 1 << 30) }),
            (.usage, { $0.image = "image.raw" }), (.usage, { $0.image = "/dev/null" }),
            (.notFound, { $0.image += ".not" }), (.badImage, { $0.image += ".bare" }),
            (.digestMismatch, { $0.image += ".other" }),
        ]
        try TestImage.create(station.image + ".bare", size: 8 << 20, data: [0..<512])
        try TestImage.create(station.image + ".other", size: 8 << 20, data: [0..<512], seed: 9)
        let map = station.folder.file("image.bmap")
        try FileManager.default.copyItem(atPath: map, toPath: station.folder.file("image.raw.other.bmap"))
        for (code, change) in cases {
            let error = await #expect(throws: FlashlayerError.self) { try await station.arm("1", change) }
            #expect(error?.code == code, "\(String(describing: error))")
            #expect(station.conductor.bulletin.latest.status.arming == nil)
        }
        try await station.arm()
        let again = await #expect(throws: FlashlayerError.self) { try await station.arm() }
        #expect(again?.code == .busy)
    }

    @Test("nothing is written of which no record can be kept")
    func withoutRecords() async throws {
        let station = try await PretendStation(hands, archive: FullArchive())
        try await station.arm()
        await station.conductor.hear(.seen(PretendStation.stick(1, 11)))
        try await station.wait(for: 1, .failed)
        #expect(station.slot(1).code == "no-space")
        #expect(hands.asked == ["judge /dev/pretended11"])
    }

    private struct FullArchive: StationArchive {
        var history: MemoryHistory { MemoryHistory() }
        var interrupted: Set<String> { [] }
        func keep(_ note: StationNote, figures: JobFigures?, at time: Double) throws {
            throw FlashlayerError(.noSpace, "the disk is full")
        }
    }
}
