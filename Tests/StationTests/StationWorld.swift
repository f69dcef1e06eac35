// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Station
import StationProtocol
import TestSupport

/// A bench with sticks, hubs and a person, and what is true of it; the policy only hears events. The judge below it shares
/// nothing with the policy: it asks the world, not what the policy was told.
struct StationWorld {
    struct Stick {
        var serial: String?
        var size: UInt64
        /// nil: in the drawer.
        var medium: Medium?
        /// The digest that a passed job left on it.
        var carries: String?
        var pluggedAt = 0
    }

    struct Job {
        let stick: Int
        let medium: Medium
        let slot: String
        let arming: Int
        var isWriting = false
    }

    static let digest = "d"
    var random: SplitMix
    var policy: StationPolicy<MemoryHistory>
    var sticks: [Stick]
    var sequence: UInt64 = 100
    var step = 0

    // What the operator has done.
    var armed: (number: Int, slots: Set<String>, count: Int?, sizes: ClosedRange<UInt64>?, step: Int)?
    var armings = 0
    var passes = 0

    var jobs: [JobTicket: Job] = [:]
    /// Media whose engine passed, or whose samples were those of the image.
    var good: Set<UInt64> = []
    var past: [Medium] = []
    var faults: [String] = []
    var writes = 0, greens = 0, dones = 0, quarantines = 0

    static let chains = ["2.1", "2.2", "2.3", "2.4", "2.1.1", "2.5", "1.1", "1.2", "3.1"]

    init(seed: UInt64) {
        random = SplitMix(seed: seed)
        policy = StationPolicy(map: Bench.map, history: MemoryHistory(), present: [])
        let serials: [String?] = ["A", "B", "C", "D", "E", "F", "same", "same", "same", "", nil, "0000"]
        sticks = serials.enumerated().map { Stick(serial: $1, size: UInt64($0 % 3 + 7) << 30) }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    /// The truth about sockets: a table, not the policy's map.
    static func slot(of chain: String) -> String? {
        ["2.1": "1", "2.2": "2", "2.3": "3", "2.4": "4", "1.1": "1", "1.2": "2"][chain]
    }

    private func port(_ chain: String) -> UsbPortPath {
        UsbPortPath(controller: "c", side: chain.hasPrefix("1") ? .usb2 : .usb3, chain: chain)
    }

    mutating func advance() {
        step += 1
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<18: plug()
        case 18..<36: pull()
        case 36..<46: gossip()
        case 46..<86: work()
        case 86..<93: operate()
        case 93..<96: hear(.enumerated(sticks.compactMap(\.medium)))
        default: hear(.left(sysfsPath: "/sys/devices/c/nowhere/\(step)"))
        }
        judgeSlots()
    }

    // MARK: Sticks

    private mutating func plug() {
        let drawer = sticks.indices.filter { sticks[$0].medium == nil }
        guard let index = drawer.randomElement(using: &random), let chain = Self.chains.randomElement(using: &random)
        else { return }
        // One plug fits into one socket; a card reader's second unit is the exception.
        let isTaken = sticks.contains { $0.medium?.port?.chain == chain }
        guard !isTaken || chance(10) else { return }
        sequence += 1
        let medium = Medium(
            sysfsPath: "/sys/devices/c/\(chain)/host\(sequence)",
            diskSequence: sequence,
            port: port(chain),
            path: "/dev/sd\(sequence)",
            size: sticks[index].size,
            serial: sticks[index].serial,
            vendorProduct: "0781:5581"
        )
        sticks[index].medium = medium
        sticks[index].pluggedAt = step
        // Some events are late, or never come.
        if chance(85) { hear(.seen(chance(10) ? defaced(medium) : medium)) }
    }

    private mutating func pull() {
        let plugged = sticks.indices.filter { sticks[$0].medium != nil }
        guard let index = plugged.randomElement(using: &random), let medium = sticks[index].medium else { return }
        sticks[index].medium = nil
        past.append(medium)
        if past.count > 20 { past.removeFirst() }
        // Now and then a stick goes home, and a new one comes.
        if chance(5) { sticks[index] = Stick(serial: "N\(sequence)", size: sticks[index].size) }
        if chance(95) { hear(.left(sysfsPath: medium.sysfsPath)) }
    }

    /// As udev may tell it: with properties missing, or those of another device. The path is the kernel's own.
    private mutating func defaced(_ medium: Medium) -> Medium {
        Medium(
            sysfsPath: medium.sysfsPath,
            diskSequence: chance(50) ? nil : medium.diskSequence,
            port: chance(40) ? nil : medium.port,
            path: medium.path,
            size: chance(30) ? 0 : medium.size,
            serial: chance(50) ? nil : "E",
            vendorProduct: chance(50) ? nil : medium.vendorProduct
        )
    }

    /// Replayed, doubled, late and lying events, of sticks that are there and of those that have gone.
    private mutating func gossip() {
        let there = sticks.compactMap(\.medium)
        guard let medium = (chance(70) ? there : past).randomElement(using: &random) else { return }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: hear(.seen(defaced(medium)))
        case 1: if chance(20) { hear(.left(sysfsPath: medium.sysfsPath)) }
        default: for _ in 0..<2 { hear(.seen(medium)) }
        }
    }

    // MARK: Jobs

    private mutating func work() {
        // In one order, whatever the dictionary's is: a run can be repeated by its seed.
        let tickets = jobs.keys.sorted { $0.number < $1.number }
        guard let ticket = tickets.randomElement(using: &random), let job = jobs[ticket] else { return }
        let isThere = sticks[job.stick].medium == job.medium
        if chance(3) { return hear(.stalled(ticket)) }
        guard job.isWriting else {
            if chance(10) { return end(ticket, .cancelled) }
            // The gate looks at the disk itself.
            let verdict: GateVerdict = isThere && chance(85) ? .passed : .refused(.mounted, "")
            if case .refused = verdict { jobs[ticket] = nil }
            return hear(.judged(ticket, verdict))
        }
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<3: hear(.progressed(ticket, .writing))
        case 3: hear(.progressed(ticket, .verifying))
        case 4..<8 where isThere:
            sticks[job.stick].carries = Self.digest
            good.insert(job.medium.diskSequence ?? 0)
            end(ticket, .passed)
        default: end(ticket, .failed(.ioError, ""))
        }
    }

    private mutating func end(_ ticket: JobTicket, _ outcome: JobOutcome) {
        hear(.ended(ticket, outcome))
        jobs[ticket] = nil
    }

    // MARK: The operator

    private mutating func operate() {
        let slot = ["1", "2", "3", "4", "5"].randomElement(using: &random) ?? "1"
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5: arm()
        case 5: take(policy.disarm(cancel: chance(50))) { $0.armed = nil }
        case 6: take(policy.handle(.expired)) { $0.armed = nil }
        case 7: if let commands = try? policy.eject(slot: slot) { take(commands) }
        default:
            if let commands = try? policy.release(slot: slot) { take(commands) }
        }
    }

    private mutating func arm() {
        let slots = Set(["1", "2", "3", "4"].filter { _ in Bool.random(using: &random) })
        let count = chance(50) ? Int.random(in: 1...6, using: &random) : nil
        let sizes: ClosedRange<UInt64>? = chance(30) ? (7 << 30)...(8 << 30) : nil
        let arming = Arming(
            imageName: "i",
            imageDigest: Self.digest,
            slots: slots,
            sizes: sizes,
            count: count,
            highestSequence: sequence
        )
        guard let commands = try? policy.arm(arming) else { return }
        armings += 1
        passes = 0
        take(commands) { [armings, step] in $0.armed = (armings, slots, count, sizes, step) }
    }

    // MARK: The judge

    private mutating func hear(_ event: StationEvent) { take(policy.handle(event)) }

    private mutating func take(_ commands: [StationCommand], _ change: (inout Self) -> Void = { _ in }) {
        change(&self)
        for command in commands {
            switch command {
            case .probe(let ticket, let medium): began(ticket, medium)
            case .compare(let ticket, let medium, _):
                guard let job = jobs.removeValue(forKey: ticket) else { return fault("compares without a probe") }
                let matches = sticks[job.stick].medium == medium && sticks[job.stick].carries == Self.digest
                jobs[ticket] = matches ? nil : job
                if matches {
                    good.insert(medium.diskSequence ?? 0)
                    dones += 1
                }
                hear(.compared(ticket, matches: matches))
            case .write(let ticket, let medium, _): wrote(ticket, medium)
            case .abandon(let ticket): jobs[ticket] = nil
            case .record(let note):
                policy.history.apply(note)
                guard case .ended(let facts, .passed) = note, let job = jobs[facts.ticket] else { break }
                if !good.contains(facts.medium.diskSequence ?? 0) { fault("records a pass that was none") }
                if job.arming == armed?.number { passes += 1 }
            case .notify(.disarmed): armed = nil
            default: break
            }
        }
    }

    private mutating func began(_ ticket: JobTicket, _ medium: Medium) {
        guard let chain = medium.port?.chain, let slot = Self.slot(of: chain) else { return fault("untaught socket") }
        guard let stick = sticks.firstIndex(where: { $0.medium?.sysfsPath == medium.sysfsPath }) else {
            // A late event of a stick that has gone: the gate finds nothing.
            jobs[ticket] = Job(stick: 0, medium: medium, slot: slot, arming: armings)
            return
        }
        jobs[ticket] = Job(stick: stick, medium: medium, slot: slot, arming: armings)
    }

    private mutating func wrote(_ ticket: JobTicket, _ medium: Medium) {
        writes += 1
        guard let job = jobs[ticket] else { return fault("writes without a probe") }
        guard let armed else { return fault("writes while disarmed") }
        guard armed.slots.contains(job.slot) else { return fault("writes in slot \(job.slot), which is not armed") }
        guard job.medium == medium else { return fault("writes another medium than was judged") }
        if let stick = sticks.first(where: { $0.medium?.diskSequence == medium.diskSequence }) {
            if stick.pluggedAt <= armed.step { fault("writes what was there before arming") }
            if let sizes = armed.sizes, !sizes.contains(stick.size) { fault("writes a stick of another size") }
        }
        if jobs.contains(where: { $0.key != ticket && $0.value.slot == job.slot && $0.value.isWriting }) {
            fault("writes twice at once in slot \(job.slot)")
        }
        if good.contains(medium.diskSequence ?? 0) { fault("writes a medium that is good") }
        jobs[ticket]?.isWriting = true
        let flying = jobs.count { $0.value.isWriting && $0.value.arming == armed.number }
        if let count = armed.count, passes + flying > count { fault("\(passes) passed, \(flying) fly, of \(count)") }
    }

    private mutating func judgeSlots() {
        for slot in ["1", "2", "3", "4"] {
            let state = policy.state(of: slot)
            if state == .quarantined { quarantines += 1 }
            guard let state, state.isGreen else { continue }
            greens += 1
            let number = policy.status(station: nil).slots.first { $0.name == slot }?.device?.dropFirst("/dev/sd".count)
            if let number = number.flatMap({ UInt64($0) }), good.contains(number) { continue }
            fault("slot \(slot) is green without a pass")
        }
    }

    private mutating func fault(_ text: String) { faults.append("step \(step): \(text)") }
}
