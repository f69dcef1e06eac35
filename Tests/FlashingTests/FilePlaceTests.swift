// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import DiskImages
import Glibc
import Model
import TestSupport
import Testing

@testable import Flashing

/// Bytes that stand in a file go to the target without passing through our memory, and when they do not, nothing is
/// written in their place.
@Suite("Writing from a place in a file")
struct FilePlaceTests {
    private static let size = 2 * ByteSize.chunk

    private let folder: TemporaryFolder
    private let image: String
    private let source: any RandomAccessSource

    init() async throws {
        folder = try TemporaryFolder()
        image = folder.file("image")
        try TestImage.create(image, size: Self.size, data: [0..<Self.size])
        source = try #require(try await ImageReference(image).open().source as? any RandomAccessSource)
    }

    private func queue(_ backend: any RequestBackend, _ target: Int32) -> TransferQueue {
        let limits = QueueLimits(RequestQueue(maximumRequest: 1 << 20, depth: 64), timeout: 10)
        return TransferQueue(backend, descriptor: target, path: "the target", limits: limits)
    }

    /// The second chunk of the image, and one buffer behind it.
    private func transfer(start: Int = 0, count: Int = Int(ByteSize.chunk), to offset: UInt64 = 0) throws -> Transfer {
        let place = try #require(source.cachedPlace(at: ByteSize.chunk, count: Int(ByteSize.chunk)))
        let buffer = AlignedBuffer(count: Int(ByteSize.chunk))
        return Transfer(.write, buffer, start: start, count: count, offset: offset, place: place)
    }

    private func open(_ path: String) throws -> Int32 {
        let descriptor = unsafe Glibc.open(path, O_RDWR | O_CLOEXEC)
        try #require(descriptor >= 0)
        return descriptor
    }

    @Test("all of it arrives where it belongs, and so does a part")
    func arrives() throws {
        let path = try folder.write("", to: "target")
        let target = try open(path)
        defer { close(target) }
        let ring = try Ring(entries: 16, arenas: [])
        try #require(ring.takesPlaces)
        let queue = queue(ring, target)
        try queue.add(try transfer(to: 4096))
        try queue.add(try transfer(start: 8192, count: 4096, to: 0))
        var done = 0
        try queue.finish { _ in done += 1 }
        #expect(done == 2)
        let wanted = Array(try TestImage.bytes(of: image)[Int(ByteSize.chunk)...])
        #expect(try TestImage.bytes(of: path) == Array(wanted[8192..<12288]) + wanted)
    }

    @Test("what the file does not have any more is told of as the image's fault, and nothing is written for it")
    func cutShort() throws {
        let path = try folder.write("", to: "target")
        let target = try open(path)
        defer { close(target) }
        let queue = queue(try Ring(entries: 16, arenas: []), target)
        let transfer = try transfer()
        let half = ByteSize.chunk + ByteSize.chunk / 2
        try #require(unsafe truncate(image, off_t(half)) == 0)
        let error = #expect(throws: FlashlayerError.self) {
            try queue.add(transfer)
            try queue.finish()
        }
        #expect(error?.code == .badImage)
        #expect(error?.offset == half)
        #expect(try TestImage.bytes(of: path).count <= Int(half - ByteSize.chunk))
    }

    @Test("a target that takes nothing is at fault, and the next request is not mixed with what it left")
    func full() throws {
        let path = try folder.write("", to: "target")
        let (full, target) = (try open("/dev/full"), try open(path))
        defer {
            close(full)
            close(target)
        }
        let ring = try Ring(entries: 16, arenas: [])
        for _ in 0..<8 {
            let queue = queue(ring, full)
            let error = #expect(throws: FlashlayerError.self) {
                try queue.add(try transfer(count: 1 << 20))
                try queue.finish()
            }
            #expect(error?.code == .ioError)
        }
        let queue = queue(ring, target)
        try queue.add(try transfer())
        try queue.finish()
        #expect(try TestImage.bytes(of: path) == Array(TestImage.bytes(of: image)[Int(ByteSize.chunk)...]))
    }

    @Test("what the kernel does not take from the file is copied")
    func copied() throws {
        let backend = ScriptedBackend([1 << 20])
        backend.sourceFaults = [1]
        let queue = queue(backend, -1)
        try queue.add(try transfer())
        try queue.finish()
        let wanted = Array(try TestImage.bytes(of: image)[Int(ByteSize.chunk)...])
        let retried = try #require(backend.requests.last { $0.place == nil })
        #expect(backend.requests.filter { $0.place == nil }.count == 1)
        #expect(retried.offset == 1 << 20 && retried.count == 1 << 20 && retried.start == 1 << 20)
        let bytes = unsafe try #require(retried.buffer).bytes
        #expect(unsafe bytes[(1 << 20)..<(2 << 20)].elementsEqual(wanted[(1 << 20)..<(2 << 20)]))
    }
}
