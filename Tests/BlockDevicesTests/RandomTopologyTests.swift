// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Glibc
import Model
import TestSupport
import Testing

/// Machines that nobody thought of. Run one again with FLASHLAYER_SEED=NUMBER.
@Suite("Random topologies")
struct RandomTopologyTests {
    private static let count: UInt64 = 2000
    private static let shares: UInt64 = 4

    private static let onlySeed = unsafe getenv("FLASHLAYER_SEED").flatMap { UInt64(unsafe String(cString: $0)) }

    @Test("rules and oracle agree, and no disk of the system is ever eligible", arguments: 0..<shares)
    func agree(share: UInt64) throws {
        let base = 20_260_801 as UInt64
        var systems = 0
        let seeds =
            Self.onlySeed.map { share == 0 ? [$0] : [] }
            ?? (0..<Self.count / Self.shares).map {
                base + $0 * Self.shares + share
            }
        for seed in seeds { systems += try judge(seed) }
        // The generator must not have lost what it is there for.
        #expect(Self.onlySeed != nil || systems > seeds.count / 2)
    }

    /// - Returns: how many disks of the system there were.
    private func judge(_ seed: UInt64) throws -> Int {
        let random = try RandomMachine(seed: seed)
        let oracle = StorageOracle(random)
        let inventory = try random.machine.inventory()
        let request = WriteRequest(allowed: Set(Rule.all.filter(\.isOverridable).map(\.code)))
        var systems = 0
        let devices = random.disks.keys.sorted() + random.stacks.keys.sorted() + random.loops.map(\.name)
        for name in devices {
            let disk = try inventory.disk(at: "/dev/" + name)
            let refusals = inventory.refusals(of: disk, for: request)
            let codes = Set(refusals.map(\.code))
            let says = "FLASHLAYER_SEED=\(seed): \(name) \(refusals.map { "\($0.code.rawValue): \($0.evidence)" })"
            if oracle.system.contains(name) {
                systems += 1
                #expect(!codes.isEmpty, "eligible. \(says)")
            }
            guard random.disks[name] != nil else { continue }

            if oracle.isSystemDisk(name, oracle.system) { #expect(codes.contains(.systemDisk), "missed. \(says)") }
            if oracle.isUnknown {
                #expect(codes.contains(.systemDisk), "nobody can tell. \(says)")
            } else if !oracle.possible.contains(name), !random.unreadable.contains(name) {
                #expect(!codes.contains(.systemDisk), "for nothing. \(says)")
            }
            guard !random.unreadable.contains(name), !random.swapFiles.contains(where: { !$0.isSeen }) else { continue }
            let others: Set<ErrorCode> = [.mounted, .swap, .held, .backsLoop]
            #expect(codes.intersection(others) == oracle.codes(name), "\(says)")
        }
        return systems
    }
}
