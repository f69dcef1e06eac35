// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import DiskImages
import Glibc
import Model
import Testing

@testable import Flashing

@Suite("The queue of a target")
struct TransferQueueTests {
    private let limits: QueueLimits = {
        var limits = QueueLimits(RequestQueue(maximumRequest: 1 << 20, depth: 64), timeout: 1)
        limits.timeout = .milliseconds(300)
        return limits
    }()

    private func queue(_ backend: ScriptedBackend) -> TransferQueue {
        TransferQueue(backend, descriptor: -1, path: "/dev/test", limits: limits)
    }

    private func write(_ queue: TransferQueue, count: Int, offset: UInt64 = 0) throws -> [Transfer] {
        try queue.add(Transfer(.write, AlignedBuffer(count: count), count: count, offset: offset))
        var done: [Transfer] = []
        try queue.finish { done.append($0) }
        return done
    }

    @Test("a transfer is cut into requests that cover it once, without a gap")
    func split() throws {
        let backend = ScriptedBackend()
        let done = try write(queue(backend), count: (4 << 20) - 4096, offset: 1 << 20)
        #expect(done.count == 1)
        var position: UInt64 = 1 << 20
        for request in backend.requests {
            #expect(request.offset == position)
            #expect(request.count <= 1 << 20)
            position += request.count
        }
        #expect(position == (5 << 20) - 4096)
    }

    @Test("what the kernel cuts short is finished, and what it interrupts is done again")
    func shortAndInterrupted() throws {
        let backend = ScriptedBackend([512, -Int(EINTR), 4096, -Int(EAGAIN)])
        let done = try write(queue(backend), count: 1 << 20)
        #expect(done.count == 1)
        // Each byte arrives: whatever was not done is asked for again, from where it stopped.
        var covered = [(0, 512)]
        for request in backend.requests.dropFirst() { covered.append((Int(request.offset), Int(request.count))) }
        #expect(backend.requests.map(\.offset) == [0, 512, 512, 4608, 4608])
        #expect(backend.requests.last?.count == UInt64((1 << 20) - 4608))
        #expect(covered.count == 5)
    }

    @Test(
        "an error says where, and what kind",
        arguments: [
            (EIO, ErrorCode.ioError), (ENODATA, .ioError), (ENODEV, .deviceGone), (ENXIO, .deviceGone),
            (ENOSPC, .ioError),
        ] as [(Int32, ErrorCode)]
    )
    func errors(errno: Int32, code: ErrorCode) throws {
        let queue = queue(ScriptedBackend([1 << 20, -Int(errno)]))
        let error = #expect(throws: FlashlayerError.self) { _ = try write(queue, count: 2 << 20, offset: 8 << 20) }
        #expect(error?.code == code)
        #expect(error?.offset == 9 << 20)
    }

    @Test("nothing written at all is the end of the device, not a success")
    func endOfDevice() throws {
        let error = #expect(throws: FlashlayerError.self) {
            _ = try write(queue(ScriptedBackend([0])), count: 4096, offset: 4096)
        }
        #expect(error?.code == .ioError)
        #expect(error?.offset == 4096)
    }

    @Test("a device that completes nothing is hung, and keeps the memory of what it was asked for")
    func hang() throws {
        weak var memory: AlignedBuffer?
        do {
            let queue = TransferQueue(SilentBackend(), descriptor: -1, path: "/dev/test", limits: limits)
            let buffer = AlignedBuffer(count: 4096)
            memory = buffer
            try queue.add(Transfer(.write, buffer, count: 4096, offset: 0))
            let error = #expect(throws: FlashlayerError.self) { try queue.finish() }
            #expect(error?.code == .timeout)
            #expect(queue.isHung)
        }
        #expect(memory != nil)
    }

    @Test("whoever hangs keeps the others from no buffer: the pool gets others for those that are lost")
    func lostBuffers() throws {
        let pool = ChunkPool(chunks: 2)
        let share = ChunkShare(of: pool, targets: 1)
        let queue = TransferQueue(SilentBackend(), descriptor: -1, path: "/dev/test", limits: limits)
        for index in 0..<2 {
            let chunk = try #require(share.take(index: index, length: 4096))
            try queue.add(Transfer(.read, chunk.buffer, count: 4096, offset: chunk.offset, owner: chunk))
        }
        #expect(pool.takeIfPresent() == nil)
        #expect(throws: FlashlayerError.self) { try queue.finish() }
        queue.abandon()
        #expect(pool.takeIfPresent() != nil)
        #expect(pool.takeIfPresent() != nil)
        #expect(pool.takeIfPresent() == nil)
    }

    @Test("an offload that is not there is told from one that fails")
    func offload() throws {
        let isZeroed = try queue(ScriptedBackend([0])).punchHole(0..<4096)
        #expect(isZeroed)
        let hasOffload = try queue(ScriptedBackend([-Int(EOPNOTSUPP)])).punchHole(0..<4096)
        #expect(!hasOffload)
        let error = #expect(throws: FlashlayerError.self) {
            _ = try queue(ScriptedBackend([-Int(EIO)])).punchHole(4096..<8192)
        }
        #expect(error?.code == .ioError)
        #expect(error?.offset == 4096)
    }
}
