// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Glibc
import Model
import TestSupport
import Testing
import Threads

/// Machines that nobody thought of. Run one again with FLASHLAYER_SEED=NUMBER.
@Suite("Random topologies")
struct RandomTopologyTests {
    private static let count: UInt64 = 2000
    private static let shares: UInt64 = 4

    private static let onlySeed = unsafe getenv("FLASHLAYER_SEED").flatMap { UInt64(unsafe String(cString: $0)) }

    @Test("rules and oracle agree, and no disk of the system is ever eligible", arguments: 0..<shares)
    func agree(share: UInt64) async throws {
        let base = 20_260_801 as UInt64
        let seeds =
            Self.onlySeed.map { share == 0 ? [$0] : [] }
            ?? (0..<Self.count / Self.shares).map {
                base + $0 * Self.shares + share
            }
        // Seconds of work: tests that wait for programs need the threads of Swift's own pool.
        let verdicts = try await onOwnThread(named: "topologies") { try seeds.map { try judge($0) } }
        let faults = verdicts.flatMap(\.faults)
        #expect(faults.isEmpty, "\(faults.joined(separator: "\n"))")
        // The generator must not have lost what it is there for.
        #expect(Self.onlySeed != nil || verdicts.reduce(0) { $0 + $1.systems } > seeds.count / 2)
    }

    private struct Verdict {
        /// How many disks of the system there were.
        var systems = 0
        /// Where rules and oracle disagree.
        var faults: [String] = []

        mutating func expect(_ holds: Bool, _ fault: @autoclosure () -> String) {
            if !holds { faults.append(fault()) }
        }
    }

    private func judge(_ seed: UInt64) throws -> Verdict {
        let random = try RandomMachine(seed: seed)
        let oracle = StorageOracle(random)
        let inventory = try random.machine.inventory()
        let request = WriteRequest(allowed: Set(Rule.all.filter(\.isOverridable).map(\.code)))
        var verdict = Verdict()
        let devices = random.disks.keys.sorted() + random.stacks.keys.sorted() + random.loops.map(\.name)
        for name in devices {
            let disk = try inventory.disk(at: "/dev/" + name)
            let refusals = inventory.refusals(of: disk, for: request)
            let codes = Set(refusals.map(\.code))
            let says = "FLASHLAYER_SEED=\(seed): \(name) \(refusals.map { "\($0.code.rawValue): \($0.evidence)" })"
            if oracle.system.contains(name) {
                verdict.systems += 1
                verdict.expect(!codes.isEmpty, "eligible. \(says)")
            }
            guard random.disks[name] != nil else { continue }

            if oracle.isSystemDisk(name, oracle.system) {
                verdict.expect(codes.contains(.systemDisk), "missed. \(says)")
            }
            if oracle.isUnknown {
                verdict.expect(codes.contains(.systemDisk), "nobody can tell. \(says)")
            } else if !oracle.possible.contains(name), !random.unreadable.contains(name) {
                verdict.expect(!codes.contains(.systemDisk), "for nothing. \(says)")
            }
            guard !random.unreadable.contains(name), !random.swapFiles.contains(where: { !$0.isSeen }) else { continue }
            let others: Set<ErrorCode> = [.mounted, .swap, .held, .backsLoop]
            verdict.expect(codes.intersection(others) == oracle.codes(name), "\(says)")
        }
        return verdict
    }
}
