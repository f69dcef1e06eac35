// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Station
import StationProtocol
import Testing

@Suite("Policy of the station")
struct StationPolicyTests {
    private static let broken = JobOutcome.failed(.ioError, "it broke")

    @Test(
        "a stick that comes after arming goes through the gate, is written, verified, and turns green until it is pulled"
    )
    func way() throws {
        var bench = Bench()
        try bench.arm()
        let stick = bench.stick("2.1")
        #expect(bench.state("1") == .empty)
        bench.plug(stick)
        let ticket = try #require(bench.probe)
        #expect(bench.state("1") == .probing)
        bench.handle(.judged(ticket, .passed))
        #expect(bench.write == ticket)
        #expect(bench.state("1") == .writing)
        bench.handle(.progressed(ticket, .verifying))
        #expect(bench.state("1") == .verifying)
        bench.handle(.ended(ticket, .passed))
        #expect(bench.state("1") == .passed)
        bench.plug(stick)
        #expect(bench.commands.isEmpty)
        bench.pull(stick)
        #expect(bench.state("1") == .empty)
    }

    @Test("what was there when the station started, or was armed, is never written, however often udev says `add`")
    func old() throws {
        var bench = Bench()
        let first = bench.stick("2.1")
        bench = Bench(present: [first])
        _ = bench.stick("2.1")
        let second = bench.stick("2.2", serial: "other")
        bench.plug(second)
        // In sysfs already when the operator arms, and heard of only afterwards.
        let late = bench.stick("2.3", serial: "late")
        try bench.arm()
        for medium in [first, second, late, first] {
            bench.plug(medium)
            #expect(bench.commands.isEmpty)
        }
        #expect(["1", "2", "3"].map(bench.state) == [.present, .present, .present])
        bench.pull(first)
        _ = try bench.begin(bench.stick("2.1", serial: "new"))
    }

    @Test(
        "a disarmed station, an unarmed slot, a socket that was never taught, a stick without a number: nothing starts"
    )
    func nowhere() throws {
        var bench = Bench()
        bench.plug(bench.stick("2.1"))
        #expect(bench.commands.isEmpty)
        try bench.arm(["2"])
        for chain in ["2.3", "2.2.1", "2", "2.22"] {
            bench.plug(bench.stick(chain, serial: chain))
            #expect(bench.commands.isEmpty, "\(chain)")
        }
        let stick = bench.stick("2.2", serial: "none")
        bench.plug(
            Medium(
                sysfsPath: "/x",
                diskSequence: nil,
                port: stick.port,
                path: stick.path,
                size: stick.size,
                serial: nil,
                vendorProduct: nil
            )
        )
        #expect(bench.commands.isEmpty)
        #expect(bench.policy.status(station: nil).untaught == 3)
    }

    @Test("what the gate refuses, or has another size, stays refused with its code until it is pulled")
    func refused() throws {
        var bench = Bench()
        try bench.arm(sizes: (7 << 30)...(9 << 30))
        let small = bench.stick("2.1", size: 1 << 30)
        bench.plug(small)
        #expect(bench.commands.isEmpty)
        #expect(bench.policy.status(station: nil).slots[0].code == "size-range")
        let mounted = bench.stick("2.2", serial: "m")
        bench.plug(mounted)
        bench.handle(.judged(try #require(bench.probe), .refused(.mounted, "it is mounted")))
        #expect(bench.commands.isEmpty)
        #expect(bench.state("2") == .refused)
        bench.plug(mounted)
        #expect(bench.commands.isEmpty)
    }

    @Test("two units in one socket are written neither; one that comes during the gate's look stops it")
    func units() throws {
        var bench = Bench()
        try bench.arm()
        let first = bench.stick("2.1", serial: "a")
        bench.plug(first)
        let ticket = try #require(bench.probe)
        let second = bench.stick("2.1", serial: "b")
        bench.plug(second)
        bench.handle(.judged(ticket, .passed))
        #expect(bench.write == nil)
        #expect(bench.state("1") == .refused)
        #expect(bench.policy.status(station: nil).slots[0].code == "ambiguous")
    }

    @Test("a count is of passes; those in flight are reserved, a failure gives its place back, the last one disarms")
    func count() throws {
        var bench = Bench()
        try bench.arm(count: 2)
        let one = try bench.begin(bench.stick("2.1", serial: "1"))
        let two = try bench.begin(bench.stick("2.2", serial: "2"))
        bench.plug(bench.stick("2.3", serial: "3"))
        #expect(bench.probe == nil)
        #expect(bench.state("3") == .present)
        bench.handle(.ended(one, Self.broken))
        let three = try #require(bench.probe)
        bench.handle(.judged(three, .passed))
        #expect(bench.write == three)
        bench.handle(.ended(two, .passed))
        #expect(bench.policy.isArmed)
        bench.handle(.ended(three, .passed))
        #expect(!bench.policy.isArmed)
        #expect(bench.commands.contains(.notify(.countReached(2))))
    }

    @Test("when the time has come nothing starts any more, and what runs ends by itself; disarming may cancel it")
    func expiry() throws {
        var bench = Bench()
        try bench.arm()
        let running = try bench.begin(bench.stick("2.1", serial: "1"))
        bench.plug(bench.stick("2.2", serial: "2"))
        let probing = try #require(bench.probe)
        bench.handle(.expired)
        #expect(bench.commands == [.notify(.disarmed)])
        bench.handle(.judged(probing, .passed))
        #expect(bench.commands.isEmpty)
        #expect(bench.state("2") == .present)
        bench.handle(.ended(running, .passed))
        #expect(bench.state("1") == .passed)

        try bench.arm()
        let next = bench.stick("2.3", serial: "3")
        let job = try bench.begin(next)
        bench.take(bench.policy.disarm(cancel: true))
        #expect(bench.commands.contains(.cancel(job)))
        bench.handle(.ended(job, .cancelled))
        #expect(bench.state("3") == .failed)
        #expect(bench.policy.history.failures(of: try #require(next.identity)) == 0)
    }

    @Test(
        "failed stays until it is pulled; the second failure of a stick is a quarantine, in any slot, until its release"
    )
    func quarantine() throws {
        var bench = Bench()
        try bench.arm()
        for slot in 1...2 {
            let stick = bench.stick("2.\(slot)")
            try bench.run(stick, Self.broken)
            #expect(bench.state("\(slot)") == .failed)
            bench.plug(stick)
            #expect(bench.commands.isEmpty)
            bench.pull(stick)
        }
        let third = bench.stick("2.3")
        bench.plug(third)
        #expect(bench.commands.isEmpty)
        #expect(bench.state("3") == .quarantined)
        bench.take(try bench.policy.release(slot: "3"))
        #expect(bench.state("3") == .present)
        #expect(bench.probe == nil)
        bench.pull(third)
        _ = try bench.begin(bench.stick("2.3"))
    }

    @Test(
        "sticks that share a serial, or have none, are never quarantined by it and never held for done",
        arguments: [
            "same", "", "0000", nil,
        ]
    )
    func serials(serial: String?) throws {
        var bench = Bench()
        try bench.arm()
        let one = bench.stick("2.1", serial: serial)
        let two = bench.stick("2.2", serial: serial)
        bench.plug(one)
        let first = try #require(bench.probe)
        bench.plug(two)
        let second = try #require(bench.probe)
        for ticket in [first, second] {
            bench.handle(.judged(ticket, .passed))
            bench.handle(.ended(ticket, Self.broken))
        }
        bench.pull(one)
        bench.pull(two)
        for _ in 0..<3 {
            let next = bench.stick("2.1", serial: serial)
            let ticket = try bench.begin(next)
            bench.handle(.ended(ticket, .passed))
            bench.pull(next)
        }
    }

    @Test("a stick that carries this image already is compared, and not written; if the samples differ it is")
    func done() throws {
        var bench = Bench()
        try bench.arm()
        let first = bench.stick("2.1")
        try bench.run(first)
        bench.pull(first)
        for matches in [true, false] {
            let again = bench.stick("2.2")
            bench.plug(again)
            bench.handle(.judged(try #require(bench.probe), .passed))
            #expect(bench.write == nil)
            bench.handle(.compared(try #require(bench.comparison), matches: matches))
            #expect((bench.write == nil) == matches)
            #expect(bench.state("2") == (matches ? .alreadyDone : .writing))
            bench.pull(again)
        }
        _ = bench.policy.disarm(cancel: false)
        var other = Bench(history: bench.policy.history)
        try other.arm(digest: "d2")
        _ = try other.begin(other.stick("2.1"))
    }

    @Test(
        "pulled while it is written: cancelled, failed, shown until the next stick comes, which waits for the engine's end"
    )
    func pulled() throws {
        var bench = Bench()
        try bench.arm()
        let stick = bench.stick("2.1", serial: "a")
        let ticket = try bench.begin(stick)
        bench.pull(stick)
        #expect(bench.commands == [.cancel(ticket)])
        #expect(bench.state("1") == .writing)
        let next = bench.stick("2.1", serial: "b")
        bench.plug(next)
        #expect(bench.commands.isEmpty)
        bench.handle(.ended(ticket, Self.broken))
        #expect(bench.probe != nil)
        #expect(bench.state("1") == .probing)

        let other = bench.stick("2.2", serial: "c")
        let job = try bench.begin(other)
        bench.pull(other)
        bench.handle(.ended(job, .cancelled))
        #expect(bench.state("2") == .failed)
        #expect(bench.policy.status(station: nil).slots[1].code == "device-gone")
        bench.take(try bench.policy.release(slot: "2"))
        #expect(bench.state("2") == .empty)
    }

    @Test("a device that hangs makes its slot say so; the others go on, and a release gives it up")
    func hanging() throws {
        var bench = Bench()
        try bench.arm()
        let stick = bench.stick("2.1", serial: "a")
        let ticket = try bench.begin(stick)
        bench.handle(.stalled(ticket))
        #expect(bench.commands == [.notify(.notResponding(slot: "1")), .cancel(ticket)])
        bench.pull(stick)
        #expect(bench.state("1") == .notResponding)
        _ = try bench.begin(bench.stick("2.2", serial: "b"))
        bench.plug(bench.stick("2.1", serial: "c"))
        #expect(bench.probe == nil)
        bench.take(try bench.policy.release(slot: "1"))
        #expect(bench.commands.first == .abandon(ticket))
        #expect(bench.probe != nil)
        bench.handle(.ended(ticket, .passed))
        #expect(bench.commands.isEmpty)
        #expect(bench.state("1") == .probing)
    }

    @Test("a station that was stopped while it wrote is disarmed, and says failed until the stick is pulled")
    func restart() throws {
        var bench = Bench()
        let stick = bench.stick("2.1")
        bench = Bench(present: [stick], interrupted: ["1", "2"])
        #expect(!bench.policy.isArmed)
        #expect(bench.state("1") == .failed)
        #expect(bench.state("2") == .empty)
        bench.pull(stick)
        #expect(bench.state("1") == .empty)
    }

    @Test("a medium that says something else of itself is refused, and one that does so under the engine fails")
    func lies() throws {
        var bench = Bench()
        let waiting = bench.stick("2.2", serial: "w")
        bench.plug(waiting)
        try bench.arm()
        let stick = bench.stick("2.1")
        let ticket = try bench.begin(stick)
        for medium in [stick, waiting] {
            let lie = Medium(
                sysfsPath: medium.sysfsPath,
                diskSequence: medium.diskSequence,
                port: medium.port,
                path: medium.path,
                size: medium.size * 2,
                serial: medium.serial,
                vendorProduct: medium.vendorProduct
            )
            bench.plug(lie)
        }
        #expect(bench.state("2") == .refused)
        bench.handle(.ended(ticket, .passed))
        #expect(bench.state("1") == .failed)
        #expect(bench.policy.status(station: nil).slots[0].code == "changed")
    }

    @Test("after lost events sysfs says what is there")
    func enumeration() throws {
        var bench = Bench()
        try bench.arm()
        let one = bench.stick("2.1", serial: "a")
        try bench.run(one)
        let two = bench.stick("2.1", serial: "b")
        bench.handle(.enumerated([two]))
        #expect(bench.probe != nil)
        bench.handle(.enumerated([]))
        #expect(bench.commands.count == 1)
    }

    @Test("a slower link is told, and written all the same; what is ejected is not")
    func slowAndEjected() throws {
        var bench = Bench()
        try bench.arm(count: 1)
        let slow = bench.stick("1.1", serial: "a", side: .usb2, speed: 480)
        bench.plug(slow)
        #expect(bench.commands.contains(.notify(.slowLink(slot: "1", is: 480, taught: 5000))))
        let ticket = try #require(bench.probe)
        #expect(throws: FlashlayerError.self) { _ = try bench.policy.eject(slot: "1") }
        let waiting = bench.stick("2.2", serial: "b")
        bench.plug(waiting)
        bench.take(try bench.policy.eject(slot: "2"))
        #expect(bench.commands == [.eject(waiting)])
        bench.handle(.judged(ticket, .refused(.mounted, "mounted")))
        #expect(bench.probe == nil)
        #expect(throws: FlashlayerError.self) { _ = try bench.policy.eject(slot: "4") }
        #expect(throws: FlashlayerError.self) { try bench.arm() }
    }
}
