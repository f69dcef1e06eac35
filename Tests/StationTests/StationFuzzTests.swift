// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Station
import StationProtocol
import Testing

@Suite("A station that is told lies")
struct StationFuzzTests {
    @Test(
        "ten thousand steps of a careless person, a lying udev and failing sticks write nothing that was not allowed",
        arguments: 1...8
    )
    func fuzz(seed: UInt64) {
        var world = StationWorld(seed: seed)
        for _ in 0..<10_000 where world.faults.isEmpty { world.advance() }
        #expect(world.faults.isEmpty, "seed \(seed): \(world.faults)")
        // A policy that does nothing is safe as well: this one works.
        #expect(world.writes > 40, "\(world.writes)")
        #expect(world.greens > 50, "\(world.greens)")
        #expect(world.dones > 0)
        #expect(world.policy.footprint < 30, "\(world.policy.footprint)")
    }

    @Test("five hundred sticks in a row leave nothing behind in the policy")
    func soak() throws {
        var bench = Bench()
        try bench.arm(count: 500)
        var sizes: Set<Int> = []
        for number in 1...500 {
            let stick = bench.stick("2.\(number % 3 + 1)", serial: "S\(number)")
            let ticket = try bench.begin(stick)
            bench.handle(.progressed(ticket, .verifying))
            bench.handle(.ended(ticket, .passed))
            bench.pull(stick)
            sizes.insert(bench.policy.footprint)
        }
        #expect(sizes == [0])
        #expect(!bench.policy.isArmed)
    }
}
