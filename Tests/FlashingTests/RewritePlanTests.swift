// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Testing

@testable import Flashing

@Suite("Comparing before writing")
struct RewritePlanTests {
    private func plan(_ matches: [Bool]) -> RewritePlan {
        Sampler.plan(matches.enumerated().map { (offset: UInt64($0.offset) * (8 << 20), matches: $0.element) })
    }

    @Test("a target that carries half of the image or more is compared, any other is written")
    func half() {
        #expect(plan([]) == .writeAll)
        #expect(plan(Array(repeating: false, count: 64)) == .writeAll)
        #expect(plan((0..<64).map { $0 % 2 == 0 }) == .compareAll)
        #expect(plan((0..<64).map { $0 % 3 == 0 }) == .writeAll)
    }

    @Test("the beginning that an interrupted write left is compared, the rest is written")
    func beginning() {
        let plan = plan((0..<64).map { $0 < 10 })
        #expect(plan.compares(0))
        #expect(plan.compares(18))
        #expect(!plan.compares(19))
        #expect(!plan.comparesAll)
    }

    @Test("zeros are read first until hardly anything is zero, and from time to time again")
    func zeroChoice() {
        var choice = ZeroChoice()
        for _ in 0..<100 {
            let reads = choice.readsFirst()
            #expect(reads)
            choice.found(zero: true)
        }
        var read = 0
        for _ in 0..<1000 where choice.readsFirst() {
            read += 1
            choice.found(zero: false)
        }
        #expect((4...8).contains(read), "\(read)")
        // Where there are zeros again, they are found.
        var unread = 0
        for _ in 0..<3000 {
            if choice.readsFirst() { choice.found(zero: true) } else { unread += 1 }
        }
        #expect(unread <= 1024)
    }
}
