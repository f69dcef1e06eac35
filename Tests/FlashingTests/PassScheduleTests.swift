// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model
import Testing

@testable import Flashing

/// A few bytes that can be read once.
private final class OnceSource: StreamSource {
    private final class Stream: ImageStream {
        func read(into buffer: UnsafeMutableRawBufferPointer) -> Int { 4096 }
        func cancel() {}
    }

    let facts = ImageFacts(path: "-", format: "raw", size: nil, tableSectorSize: nil)
    let files: [String] = []
    let isRepeatable = false

    func open() -> any ImageStream { Stream() }
    func confirmUnchanged() {}
}

@Suite("Who reads the image together with whom")
struct PassScheduleTests {
    @Test("a stream does not wait for ever for a target that is stuck before it begins")
    func stuckTarget() throws {
        let source = OnceSource()
        let image = try JobImage(source, map: nil, targetCount: 2, needsDigests: false)
        let schedule = PassSchedule(image, targets: 2, timeout: 0)
        let feed = try schedule.firstFeed {}
        guard case .piece = try feed.take(upTo: .seconds(10)) else {
            Issue.record("the pass did not begin")
            return
        }
        // Who comes later has missed the beginning, which does not come again.
        let error = #expect(throws: FlashlayerError.self) { try schedule.firstFeed {} }
        #expect(error?.code == .tooSlow)
    }
}
