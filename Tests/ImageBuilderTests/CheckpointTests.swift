// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution
import TestSupport
import Testing

@testable import ImageBuilder

/// Entries of a cache, made by hand: nothing here starts an appliance.
@Suite("Checkpoints")
struct CheckpointTests {
    private let folder: TemporaryFolder
    private let cache: Cache

    init() throws {
        folder = try TemporaryFolder()
        cache = Cache(path: folder.file("cache"))
    }

    private func plan(script: String, motd: String = "x", hostname: String = "a") throws -> Plan {
        try folder.write(
            "name = \"x\"\n[image]\nhostname = \"\(hostname)\"\n[[layer]]\ntype = \"local\"\npath = \"one\"\n",
            to: "flashlayer.toml"
        )
        try folder.write(motd, to: "one/configs/etc/motd")
        try folder.write("#!/bin/sh\n\(script)\n", to: "one/scripts/10-a", mode: 0o755)
        return try Plan(.recipe(path: folder.path))
    }

    private func makeBase(for plan: Plan) throws -> BaseEntry {
        let phase = try BaseBuild.phase(of: plan)
        let path = cache.base(phase.key)
        try folder.write("disk", to: "cache/base/\(phase.key.hex)/disk.qcow2")
        try folder.write("state", to: "cache/base/\(phase.key.hex)/packages.tar")
        try BaseEntry.write(
            GuestFacts(
                distribution: "debian",
                version: "12",
                product: "Debian 12",
                architecture: "x86_64",
                packageFormat: "deb",
                packageManager: "apt",
                mounts: []
            ),
            packages: [],
            ingredients: phase.checkpoints.first?.ingredients ?? [],
            to: path
        )
        return try #require(BaseEntry(at: path))
    }

    /// As a build leaves them, with a disk that QEMU finds sound.
    private func keep(_ segments: [BuildSegment], of plan: Plan, base: BaseEntry) async throws {
        for (index, segment) in segments.enumerated() {
            let made = folder.file("made-\(index)")
            try FileManager.default.createDirectory(atPath: made, withIntermediateDirectories: true)
            if segment.phase == .finish { try folder.write("", to: "made-\(index)/installed") }
            try await Program("qemu-img", debianPackage: "qemu-utils").run([
                "create", "-q", "-f", "qcow2", "\(made)/disk.qcow2", "1M",
            ])
            try FileManager.default.createDirectory(
                atPath: folder.file("cache/checkpoints"),
                withIntermediateDirectories: true
            )
            let origin = Checkpoint.Origin(
                project: plan.name,
                variant: plan.variant,
                phase: segment.phase,
                layer: segment.layer,
                ingredients: segment.ingredients,
                parent: base.path
            )
            try await Checkpoint.keep(made, origin, at: segment.checkpoint)
        }
    }

    private func segments(_ plan: Plan, _ base: BaseEntry) throws -> [BuildSegment] {
        try BuildSegment.all(of: plan.phases(), base: base, cache: cache)
    }

    private func states(_ plan: Plan) async throws -> [String] {
        try await PhaseState.all(of: ResolvedProject(plan), in: cache).map {
            $0.isCached ? "cached" : $0.reason
        }
    }

    @Test("what is cached, and why the rest is not, is told by what changed")
    func reasons() async throws {
        let plan = try plan(script: "true")
        let after = "after a phase that is to do"
        #expect(try await states(plan) == ["no base has been made yet"] + Array(repeating: "after the base", count: 4))
        let base = try makeBase(for: plan)
        let unbuilt = try await states(plan)
        #expect(unbuilt == ["cached", "not built yet", after, "the scripts of layer one have not been run yet", after])
        try await keep(try segments(plan, base), of: plan, base: base)
        #expect(try await states(plan) == Array(repeating: "cached", count: 5))

        #expect(
            try await states(try self.plan(script: "false"))
                == ["cached", "cached", "cached", "script 10-a of layer one changed", after]
        )
        #expect(
            try await states(try self.plan(script: "true", motd: "y"))
                == ["cached", "cached", "/etc/motd changed", after, after]
        )
        #expect(
            try await states(try self.plan(script: "true", hostname: "b")) == [
                "cached", "cached", "hostname changed", after, after,
            ]
        )
    }

    @Test("a build goes on from the last checkpoint that holds, and from an earlier one when a phase is refreshed")
    func lastKept() async throws {
        let plan = try plan(script: "true")
        let base = try makeBase(for: plan)
        let segments = try segments(plan, base)
        #expect(segments.map(\.phase) == [.packages, .configs, .scripts, .finish])
        #expect(segments.lastKept(refreshing: []) == nil)
        try await keep(Array(segments.prefix(2)), of: plan, base: base)
        #expect(segments.lastKept(refreshing: []) == 1)
        #expect(segments.lastKept(refreshing: [.configs]) == 0)
        #expect(segments.lastKept(refreshing: [.packages]) == nil)
        // Another disk under the same recipe: nothing that was built upon the old one holds.
        let remade = try makeBase(for: plan)
        #expect(try self.segments(plan, remade).lastKept(refreshing: []) == nil)
    }

    @Test("a disk that is not sound, and half an entry, are no checkpoints")
    func unsound() async throws {
        let plan = try plan(script: "true")
        let base = try makeBase(for: plan)
        let segment = try #require(try segments(plan, base).first)
        let made = folder.file("made")
        try folder.write("no disk", to: "made/disk.qcow2")
        let origin = Checkpoint.Origin(
            project: "x",
            variant: nil,
            phase: .packages,
            layer: nil,
            ingredients: [],
            parent: base.path
        )
        await #expect(throws: FlashlayerError.self) { try await Checkpoint.keep(made, origin, at: segment.checkpoint) }
        #expect(!Checkpoint.exists(at: segment.checkpoint))
        try FileManager.default.createDirectory(atPath: segment.checkpoint, withIntermediateDirectories: true)
        try folder.write(
            "half",
            to: "cache/checkpoints/\(segment.checkpoint.split(separator: "/").last ?? "")/disk.qcow2"
        )
        #expect(Checkpoint(at: segment.checkpoint) == nil)
        #expect([segment].lastKept(refreshing: []) == nil)
    }

    @Test(
        "an entry of which a part is gone is none, and the one before it serves",
        arguments: ["disk.qcow2", "installed"]
    )
    func half(file: String) async throws {
        let plan = try plan(script: "true")
        let base = try makeBase(for: plan)
        let segments = try segments(plan, base)
        try await keep(segments, of: plan, base: base)
        #expect(segments.lastKept(refreshing: []) == 3)
        try FileManager.default.removeItem(atPath: "\(segments[3].checkpoint)/\(file)")
        #expect(segments.lastKept(refreshing: []) == 2)
        #expect(Checkpoint(at: segments[3].checkpoint) == nil)
    }

    @Test("an image never takes the place of what the build reads")
    func outputsOverInputs() throws {
        _ = try plan(script: "true")
        func refusal(_ name: String) -> ErrorCode? {
            let error = #expect(throws: FlashlayerError.self) {
                try ImageOutput(path: folder.file(name), format: .qcow2).confirmPossible(
                    replacingNoneOf: [folder.file("flashlayer.toml"), folder.file("flashlayer.lock")],
                    orWithin: [folder.file("one")]
                )
            }
            return error?.code
        }
        for name in ["flashlayer.toml", "flashlayer.lock", "one/configs/etc/motd", "one/x.qcow2"] {
            #expect(refusal(name) == .cannotCreate, "\(name)")
        }
        try ImageOutput(path: folder.file("onemore.qcow2"), format: .qcow2).confirmPossible(
            replacingNoneOf: [folder.file("flashlayer.toml")],
            orWithin: [folder.file("one")]
        )
    }

    @Test("pruning removes what was of no use for longest, but nothing in use, and no base that is referred to")
    func prune() async throws {
        let plan = try plan(script: "true")
        let base = try makeBase(for: plan)
        let segments = try segments(plan, base)
        try await keep(segments, of: plan, base: base)
        for (index, segment) in segments.enumerated() {
            var times = [timeval](repeating: timeval(tv_sec: 1000 + index, tv_usec: 0), count: 2)
            #expect(unsafe utimes(segment.checkpoint, &times) == 0)
        }
        try folder.write("deb", to: "cache/debs/x.deb")
        let pruning = CachePruning(cache: cache)
        let entries = pruning.entries()
        #expect(entries.map(\.kind) == [.base, .checkpoints, .checkpoints, .checkpoints, .checkpoints, .debs])
        #expect(entries.allSatisfy { $0.size > 0 })
        #expect(entries[4].description == "x, packages")
        let total = entries.reduce(0) { $0 + $1.size }
        let inUse = try #require(Checkpoint(at: segments[0].checkpoint))
        let removed = await pruning.prune(keeping: total - 1)
        #expect(removed.map(\.path) == [segments[1].checkpoint])
        let all = await pruning.prune(keeping: 0)
        #expect(all.count == 3)
        #expect(Set(pruning.entries().map(\.path)) == [segments[0].checkpoint, base.path])
        withExtendedLifetime(inUse) {}
    }

    @Test("an image that was not touched since is found again; one that was is not")
    func outputs() async throws {
        let plan = try plan(script: "true")
        let base = try makeBase(for: plan)
        let segments = try segments(plan, base)
        try await keep(segments, of: plan, base: base)
        let checkpoint = try #require(Checkpoint(at: segments[3].checkpoint))
        let records = OutputRecords(checkpoint)
        let image = try folder.write("image", to: "x.qcow2")
        let digest = try SHA256.digest(of: "x")
        let scan = try ImageDigest(chunks: [digest])
        records.note(
            OutputRecord(
                path: image,
                format: "qcow2",
                identity: try FileIdentity(of: image),
                size: 5,
                rawSha256: digest,
                imageDigest: scan,
                blockMap: "map"
            )
        )
        #expect(records.find(image, .qcow2)?.blockMap == "map")
        #expect(records.find(image, .raw) == nil)
        try folder.write("other", to: "x.qcow2")
        #expect(records.find(image, .qcow2) == nil)
    }
}
