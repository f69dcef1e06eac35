// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import DiskImages
import Model
import Testing

@testable import Flashing

@Suite("Committing an image")
struct EndsPassTests {
    /// A device that takes small requests, as USB sticks do, in any order.
    private func commit(imageSize: UInt64, request: Int) throws -> [DeviceRequest] {
        let backend = ScriptedBackend()
        let limits = QueueLimits(RequestQueue(maximumRequest: request, depth: 64), timeout: 1)
        let target = OpenTarget(
            path: "/dev/test",
            descriptor: -1,
            size: 64 << 20,
            sectorSize: 512,
            queue: TransferQueue(backend, descriptor: -1, path: "/dev/test", limits: limits),
            monitor: JobMonitor(emit: { _ in }, isCancelled: { false })
        )
        let ends = ImageEnds(imageSize: imageSize)
        let written = try EndsPass(target: target).commit(TargetEnds(ends), verifies: false)
        #expect(written == ends.ranges.reduce(0) { $0 + UInt64($1.count) })
        return backend.requests
    }

    @Test(
        "the sectors that make it a disk are written alone, and when all the rest is on the medium",
        arguments: [512, 4096, 5000, 1 << 20, (1 << 20) + 512, 40 << 20] as [UInt64],
        [64 << 10, 1 << 20]
    )
    func order(imageSize: UInt64, request: Int) throws {
        let requests = try commit(imageSize: imageSize, request: request)
        let writes = requests.filter { $0.operation == .write }
        #expect(writes.last?.offset == 0)
        #expect((writes.last?.count ?? 0) <= 4096)
        #expect(writes.filter { $0.offset < 4096 }.count == 1)
        let last = try #require(requests.lastIndex { $0.operation == .write })
        if writes.count > 1 { #expect(requests[last - 1].operation == .flush) }
        #expect(requests.last?.operation == .flush)
    }
}
