// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Testing

@testable import FlashlayerCommands

@Suite("What the station is told on a command line")
struct StationArgumentTests {
    @Test("a time of the day is the next one, today or tomorrow", arguments: ["00:00", "7:05", "18:00", "23:59"])
    func times(text: String) throws {
        let time = try #require(ClockTime(text))
        for now in stride(from: Int64(1_790_000_000), to: 1_790_400_000, by: 7_001) {
            let next = time.next(after: now)
            // A day with a change of the clock has an hour more.
            #expect(next > now && next - now <= 25 * 3600)
            #expect(next % 60 == 0)
        }
    }

    @Test(
        "what is no time of a day is none",
        arguments: ["", "18", "24:00", "18:60", "18:", ":00", "1:2:3", "-1:00", "018:00"]
    )
    func noTimes(text: String) {
        #expect(ClockTime(text) == nil)
    }

    @Test("a range of sizes has one end or both")
    func sizes() {
        #expect(SizeRange("7G..33G").map { [$0.smallest, $0.largest] } == [7 << 30, 33 << 30])
        #expect(SizeRange("8G..").map { [$0.smallest, $0.largest] } == [8 << 30, nil])
        #expect(SizeRange("..64GB").map { [$0.smallest, $0.largest] } == [nil, 64_000_000_000])
        for text in ["", "..", "7G", "9G..8G", "a..b", "7G..x"] { #expect(SizeRange(text) == nil, "\(text)") }
    }
}
