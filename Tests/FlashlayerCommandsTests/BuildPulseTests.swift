// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ImageBuilder
import Layers
import Resolution
import Testing

@testable import FlashlayerCommands

@Suite("A build without a terminal")
struct BuildPulseTests {
    private let start = ContinuousClock.now

    private func after(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test("says every ten seconds which phase runs, for how long, and what it does now")
    func running() {
        var pulse = BuildPulse()
        #expect(pulse.line(at: start) == nil)
        pulse.note(.started(.base), at: start)
        #expect(pulse.line(at: after(9)) == nil)
        #expect(pulse.line(at: after(10)) == "base      ... 10 s")
        pulse.note(.output(source: "mmdebstrap", line: "I: \u{1B}[2Jextracting"), at: after(11))
        pulse.note(.note("said already"), at: after(12))
        #expect(pulse.line(at: after(19)) == nil)
        #expect(pulse.line(at: after(20)) == "base      ... 20 s: mmdebstrap: I: \\u{1B}[2Jextracting")
        pulse.note(.activity(String(repeating: "x", count: 300)), at: after(21))
        #expect(pulse.line(at: after(30))?.count == 100)
    }

    @Test("is silent when no phase runs and nothing else is done")
    func ended() {
        var pulse = BuildPulse()
        pulse.note(.started(.base), at: start)
        pulse.note(.finished(.base, seconds: 12), at: after(12))
        #expect(pulse.line(at: after(60)) == nil)
        pulse.note(.cached(.packages), at: after(61))
        #expect(pulse.line(at: after(80)) == nil)
    }

    @Test("says what is done outside of phases, too")
    func activity() {
        var pulse = BuildPulse()
        pulse.note(.activity("preparing"), at: start)
        pulse.note(.activity("booting by BIOS"), at: after(5))
        #expect(pulse.line(at: after(10)) == "... 5 s: booting by BIOS")
    }
}
