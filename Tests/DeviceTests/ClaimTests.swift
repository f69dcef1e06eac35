// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import CLinux
import Glibc
import Model
import Programs
import TestSupport
import Testing
import Threads

@Suite("Claiming a device", .enabled(if: LoopDevice.isAvailable, Comment(rawValue: LoopDevice.requirement)))
struct ClaimTests {
    @Test("a claimed device is open for direct writing, and knows its sector", arguments: [512, 4096])
    func claims(sectorSize: Int) throws {
        let loop = try LoopDevice(size: 8 << 20, sectorSize: sectorSize)
        defer { loop.close() }
        let claim = try Claim(try Inventory().disk(at: loop.path).identity)
        #expect(claim.logicalSectorSize == sectorSize)
        #expect(claim.size == 8 << 20)
        #expect(fcntl(claim.descriptor, F_GETFL) & flashlayer_o_direct != 0)
        try claim.confirm()
        Claim.dropCache(claim.descriptor)
        try claim.confirm()
    }

    @Test("a claimed device can be claimed by nobody else, who is told that it is busy in time")
    func twice() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let inventory = try Inventory()
        let disk = try inventory.disk(at: loop.path)
        let claim = try Claim(disk.identity)
        let start = ContinuousClock.now
        #expect(refusal { _ = try Claim(disk.identity, lockTimeout: .seconds(1)) } == .busy)
        let waited = ContinuousClock.now - start
        #expect(waited >= .seconds(1) && waited < .seconds(300))
        // The gate leaves it to the claim, which waits.
        #expect(inventory.refusals(of: disk, for: WriteRequest(allowed: [.virtual])).isEmpty)
        try claim.confirm()
    }

    @Test("a lock of another process is waited for")
    func waits() async throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let disk = try Inventory().disk(at: loop.path)
        let (locks, locked) = AsyncStream.makeStream(of: Void.self)
        let holder = Task {
            try await Program("flock", debianPackage: "util-linux")
                .outcome([loop.path, "sh", "-c", "echo locked >&2; exec sleep 60"]) { _ in locked.yield() }
        }
        for await _ in locks { break }
        let identity = disk.identity
        let first = try await onOwnThread(named: "claim") {
            refusal { _ = try Claim(identity, lockTimeout: .milliseconds(200)) }
        }
        #expect(first == .busy)
        async let second = onOwnThread(named: "claim") {
            refusal { _ = try Claim(identity, lockTimeout: .seconds(100)) }
        }
        holder.cancel()
        #expect(try await second == nil)
        _ = try? await holder.value
    }

    @Test("a device that a program has open exclusively is in use")
    func exclusive() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let inventory = try Inventory()
        let disk = try inventory.disk(at: loop.path)
        let descriptor = unsafe open(loop.path, O_RDONLY | O_EXCL | O_CLOEXEC)
        defer { close(descriptor) }
        #expect(refusal { _ = try Claim(disk.identity) } == .inUse)
        #expect(inventory.refusals(of: disk, for: WriteRequest(allowed: [.virtual])).map(\.code) == [.inUse])
    }

    @Test("a medium that was changed between choice and claim is refused")
    func swapped() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let chosen = try Inventory().disk(at: loop.path).identity
        try loop.reattach()
        let error = #expect(throws: FlashlayerError.self) { _ = try Claim(chosen) }
        #expect(error?.code == .changed)
        #expect(error?.message.contains("disk sequence") == true)
    }

    @Test("a medium that was changed after the claim is noticed before the write")
    func swappedLater() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let chosen = try Inventory().disk(at: loop.path).identity
        let claim = try Claim(chosen)
        // A loop device cannot be detached while it is claimed, but it can grow, which is a change as well.
        unsafe truncate(loop.backingFile, 2 << 20)
        #expect(ioctl(claim.descriptor, UInt(LOOP_SET_CAPACITY), 0) == 0)
        #expect(refusal { try claim.confirm() } == .changed)
    }

    @Test("a device of another size, number or serial is refused")
    func compared() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let other = try LoopDevice(size: 1 << 20)
        defer { other.close() }
        let chosen = try Inventory().disk(at: loop.path).identity
        let elsewhere = try Inventory().disk(at: other.path).identity
        let wrong = [
            DeviceIdentity(
                path: chosen.path,
                deviceNumber: elsewhere.deviceNumber,
                diskSequence: nil,
                size: chosen.size,
                serial: nil
            ),
            DeviceIdentity(
                path: chosen.path,
                deviceNumber: chosen.deviceNumber,
                diskSequence: nil,
                size: chosen.size + 512,
                serial: nil
            ),
        ]
        for identity in wrong { #expect(refusal { _ = try Claim(identity) } == .changed) }
    }

    @Test("a read-only device cannot be claimed")
    func readOnly() throws {
        let loop = try LoopDevice(size: 1 << 20, readOnly: true)
        defer { loop.close() }
        let identity = try Inventory().disk(at: loop.path).identity
        #expect(refusal { _ = try Claim(identity) } == .readOnly)
    }

    @Test("old partition nodes go before the write, new ones are there after it", arguments: [512, 4096])
    func nodes(sectorSize: Int) async throws {
        let loop = try LoopDevice(size: 64 << 20, sectorSize: sectorSize)
        defer { loop.close() }
        try await partition(loop, "label: gpt\nsize=8MiB\nsize=8MiB\nsize=8MiB\n")
        try await addNodes(loop)
        #expect(partitionNodes(of: loop).count == 3)

        let claim = try Claim(try Inventory().disk(at: loop.path).identity)
        try claim.removePartitionNodes()
        #expect(partitionNodes(of: loop).isEmpty)
        // The new content arrives by another way than our descriptor, as if written.
        try await partition(loop, "label: gpt\nsize=16MiB, name=one\nsize=32MiB, name=two\n", force: true)
        #expect(claim.settle() == [])

        #expect(partitionNodes(of: loop) == ["\(loop.path)p1", "\(loop.path)p2"])
        let disk = try Inventory().disk(at: loop.path)
        #expect(disk.partitions.map(\.size) == [16 << 20, 32 << 20])
        #expect(disk.partitions.map(\.path) == ["\(loop.path)p1", "\(loop.path)p2"])
    }

    @Test("logical partitions of an MBR get their nodes too")
    func logical() async throws {
        let loop = try LoopDevice(size: 64 << 20)
        defer { loop.close() }
        let claim = try Claim(try Inventory().disk(at: loop.path).identity)
        try await partition(loop, "label: dos\nsize=8MiB\ntype=5\nsize=8MiB\nsize=8MiB\n", force: true)
        #expect(claim.settle() == [])
        #expect(Set(["p1", "p5", "p6"].map { loop.path + $0 }).isSubset(of: partitionNodes(of: loop)))
    }

    @Test("a partition that is open keeps the claim from starting")
    func openPartition() async throws {
        let loop = try LoopDevice(size: 64 << 20)
        defer { loop.close() }
        try await partition(loop, "label: gpt\nsize=8MiB\n")
        try await addNodes(loop)
        let claim = try Claim(try Inventory().disk(at: loop.path).identity)
        let descriptor = unsafe open("\(loop.path)p1", O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        #expect(refusal { try claim.removePartitionNodes(timeout: .milliseconds(200)) } == .inUse)
    }

    @Test("a claim that goes away lets the device go")
    func released() throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let identity = try Inventory().disk(at: loop.path).identity
        for _ in 0..<3 { _ = try Claim(identity, lockTimeout: .zero) }
        #expect(try Claim(identity, lockTimeout: .zero).settle() == [])
        _ = try Claim(identity, lockTimeout: .zero)
    }
}
