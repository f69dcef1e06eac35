// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Station
import StationProtocol

/// A station of four slots whose engines do what the test says; what is to be remembered is, before the next event.
struct Bench {
    static let map: SlotMap = {
        var map = SlotMap()
        for port in 1...4 {
            try? map.teach(Slot(name: "\(port)", controller: "c", usb2: "1.\(port)", usb3: "2.\(port)", speed: 5000))
        }
        return map
    }()

    var policy: StationPolicy<MemoryHistory>
    /// Of the last event.
    private(set) var commands: [StationCommand] = []
    private var sequence: UInt64 = 10

    init(present: [Medium] = [], interrupted: Set<String> = [], history: MemoryHistory = MemoryHistory()) {
        policy = StationPolicy(map: Self.map, history: history, present: present, interrupted: interrupted)
    }

    /// A stick with a number of its own.
    mutating func stick(
        _ chain: String,
        serial: String? = "4C53",
        size: UInt64 = 8 << 30,
        side: UsbPortPath.Side = .usb3,
        speed: Int = 5000
    ) -> Medium {
        sequence += 1
        return Medium(
            sysfsPath: "/sys/devices/c/usb/\(chain)/\(sequence)",
            diskSequence: sequence,
            port: UsbPortPath(controller: "c", side: side, chain: chain),
            path: "/dev/sd\(sequence)",
            size: size,
            serial: serial,
            vendorProduct: "0781:5581",
            linkSpeed: speed
        )
    }

    mutating func handle(_ event: StationEvent) { take(policy.handle(event)) }

    mutating func take(_ new: [StationCommand]) {
        commands = new
        for case .record(let note) in new { policy.history.apply(note) }
    }

    mutating func arm(
        _ slots: Set<String> = ["1", "2", "3"],
        count: Int? = nil,
        sizes: ClosedRange<UInt64>? = nil,
        digest: String = "d1"
    ) throws {
        let arming = Arming(
            imageName: "demo",
            imageDigest: digest,
            slots: slots,
            sizes: sizes,
            count: count,
            highestSequence: sequence
        )
        take(try policy.arm(arming))
    }

    mutating func plug(_ medium: Medium) { handle(.seen(medium)) }
    mutating func pull(_ medium: Medium) { handle(.left(sysfsPath: medium.sysfsPath)) }

    func state(_ slot: String) -> SlotState? { policy.state(of: slot) }

    /// Of the probes, comparisons and engines that the last event started.
    var probe: JobTicket? {
        commands.lazy.compactMap { if case .probe(let ticket, _) = $0 { ticket } else { nil } }.first
    }
    var comparison: JobTicket? {
        commands.lazy.compactMap { if case .compare(let ticket, _, _) = $0 { ticket } else { nil } }.first
    }
    var write: JobTicket? {
        commands.lazy.compactMap { if case .write(let ticket, _, _) = $0 { ticket } else { nil } }.first
    }

    struct NothingBegan: Error {}

    /// Plugs a stick in, lets the gate pass it, and gives the ticket of the engine that is started for it.
    mutating func begin(_ medium: Medium) throws -> JobTicket {
        plug(medium)
        guard let ticket = probe else { throw NothingBegan() }
        handle(.judged(ticket, .passed))
        guard let write else { throw NothingBegan() }
        return write
    }

    /// The whole life of a stick in a slot up to the pulling.
    mutating func run(_ medium: Medium, _ outcome: JobOutcome = .passed) throws {
        handle(.ended(try begin(medium), outcome))
    }
}
