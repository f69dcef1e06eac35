// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import TestSupport
import Testing

@Suite("Random projects")
struct FuzzTests {
    /// What a project may be told; anything else would be a fault of ours.
    private static let known: Set<ErrorCode> = [
        .badRecipe, .badLayer, .layerCycle, .layerMissing, .notFound, .usage, .notPermitted,
    ]

    @Test("give a plan that stays within its layers and the guest, or an error that is known", arguments: 0..<20)
    func plan(batch: UInt64) throws {
        var (good, bad) = (0, 0)
        for seed in batch * 50..<(batch + 1) * 50 {
            let folder = try TemporaryFolder()
            var project = RandomProject(in: folder.path, seed: seed)
            project.write()
            #expect(project.isOutsideUntouched, "seed \(seed): the generator itself went astray")
            let comment = Comment(rawValue: "seed \(seed)")
            let lint = Lint(try Lint.Reading(project: project.path), layerPath: [], fetched: Fetched())
            let hasErrors = lint.faults.contains { $0.severity == .error }
            do {
                let plan = try Plan(.recipe(path: project.path))
                #expect(!hasErrors, comment)
                try confirm(plan, comment)
                if seed % 5 == 0 { try confirmSame(plan, project.path, comment) }
                good += 1
            } catch let error as FlashlayerError {
                #expect(Self.known.contains(error.code), "seed \(seed): \(error)")
                #expect(hasErrors, comment)
                bad += 1
            }
            #expect(project.isOutsideUntouched, comment)
        }
        #expect(good >= 5 && bad >= 5, "most of the projects are of one kind, which tests little")
    }

    /// By the kernel's own account of where each file lies.
    private func confirm(_ plan: Plan, _ comment: Comment) throws {
        for entry in plan.mergedOverlay {
            let names = entry.path.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            #expect(names.allSatisfy { !$0.isEmpty && $0 != [0x2E] && $0 != [0x2E, 0x2E] && !$0.contains(0) }, comment)
            let configs = plan.layers.first { entry.source.isWithin(Pathname("\($0.path)/configs")) }?.path
            let expected = try #require(configs, comment) + "/configs/"
            #expect(entry.source.bytes == Array(expected.utf8) + entry.path.bytes, comment)
            // No folder on the way is a link.
            var way = Array(expected.utf8.dropLast())
            for name in names.dropLast() {
                way += [UInt8(ascii: "/")] + name
                var status = stat()
                #expect(unsafe Pathname(way).withCString { unsafe lstat($0, &status) } == 0, comment)
                #expect(status.st_mode & S_IFMT == S_IFDIR, comment)
            }
        }
        for step in try plan.phases().flatMap(\.steps) {
            #expect(!step.unicodeScalars.contains { $0.value < 32 }, comment)
        }
    }

    /// Through JSON, and read a second time.
    private func confirmSame(_ plan: Plan, _ path: String, _ comment: Comment) throws {
        #expect(try JSONDecoder().decode(Plan.self, from: JSONEncoder().encode(plan)) == plan, comment)
        #expect(try plan.phases() == Plan(.recipe(path: path)).phases(), comment)
    }
}
