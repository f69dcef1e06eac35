// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import DiskImages
import Model
import Programs
import TestSupport
import Testing

@testable import Flashing

@Suite("What a larger disk gets last")
struct TargetEndsTests {
    private static let imageSize = 8 << 20
    private static let size: UInt64 = 64 << 20

    /// The ends of an image with a GPT.
    private func image() async throws -> ImageEnds {
        let folder = try TemporaryFolder()
        let path = folder.file("image")
        try await Program("sh", debianPackage: "dash").run([
            "-c", #"truncate -s "$2" "$1" && printf 'label: gpt\n,\n' | sfdisk --quiet --lock=no "$1""#, "sh", path,
            "\(Self.imageSize)",
        ])
        let ends = ImageEnds(imageSize: UInt64(Self.imageSize))
        unsafe try TestImage.bytes(of: path).withUnsafeBytes { unsafe ends.keep(from: $0, at: 0) }
        return ends
    }

    @Test("its backup table is written before its first sectors, header last, and each when the one before is flushed")
    func order() async throws {
        let ends = try TargetEnds(await image(), size: Self.size, sectorSize: 512)
        let backend = ScriptedBackend()
        let target = OpenTarget(
            path: "/dev/test",
            descriptor: -1,
            size: Self.size,
            sectorSize: 512,
            queue: TransferQueue(
                backend,
                descriptor: -1,
                path: "/dev/test",
                limits: QueueLimits(RequestQueue(maximumRequest: 1 << 20, depth: 64), timeout: 1)
            ),
            monitor: JobMonitor(emit: { _ in }, isCancelled: { false })
        )
        _ = try EndsPass(target: target, clearsBehind: true).commit(ends, verifies: false)
        let writes = backend.requests.filter { $0.operation == .write }
        let entries = Self.size - 33 * 512
        // Entries, the image's tail, its head without the first 4 KiB, the header of the backup, the first 4 KiB.
        #expect(writes.first?.offset == entries)
        #expect(writes.last.map { $0.offset == 0 && $0.count == 4096 } ?? false)
        let last = try #require(writes.lastIndex { $0.offset + $0.count == Self.size })
        #expect(writes[last].count <= 4096)
        #expect(writes[(last + 1)...].allSatisfy { $0.offset < 4096 || $0.offset >= Self.size - 4096 })
        #expect(writes[..<last].allSatisfy { $0.offset >= 4096 && $0.offset + $0.count <= Self.size - 512 })
        #expect(writes.contains { $0.offset == 4096 } && writes.contains { $0.offset == 7 << 20 })
        // A flush behind each.
        for (one, next) in zip(backend.requests, backend.requests.dropFirst()) where one.operation == .write {
            #expect(next.operation == .flush)
        }
        #expect(backend.requests.last?.operation == .flush)
    }

    @Test("what is edited is told by ranges that do not overlap, and what lies behind the image is among them")
    func edits() async throws {
        let ends = try TargetEnds(await image(), size: Self.size, sectorSize: 512)
        let edits = try ends.edits()
        #expect(zip(edits, edits.dropFirst()).allSatisfy { $0.offset + $0.length <= $1.offset }, "\(edits)")
        #expect(edits.first?.offset == 0)
        #expect(edits.contains { $0.offset == UInt64(Self.imageSize) && $0.length == 1 << 20 })
        #expect(edits.last.map { $0.offset + $0.length } == Self.size)
        let behind = edits.filter { $0.offset >= Self.size - (2 << 20) }.reduce(0) { $0 + $1.length }
        #expect(behind == 2 << 20)
        #expect(TargetEnds.cleared(imageSize: Self.size - 512, size: Self.size, sectorSize: 512).count == 1)
        #expect(TargetEnds.cleared(imageSize: Self.size, size: Self.size, sectorSize: 512).isEmpty)
    }
}
