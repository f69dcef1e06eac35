// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs
import Testing

@Suite("flashlayer plan")
struct PlanCommandTests {
    private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    /// Built beside the tests.
    private static let program: Program = {
        let tests = CommandLine.arguments[0]
        return Program(at: tests.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/flashlayer")
    }()

    private func plan(_ arguments: String...) async throws -> Program.Outcome {
        try await Self.program.outcome(["plan"] + arguments, workingDirectory: Self.root)
    }

    @Test("prints layers in order, phases, overrides and outputs")
    func text() async throws {
        let outcome = try await plan("examples/kiosk")
        #expect(outcome.status == 0)
        #expect(outcome.errors == "")
        for line in [
            "  2  kiosk ", "needs base-tools", "  - install jq, less, figlet (layers: base-tools, kiosk)",
            "  - run 10-enable.sh (kiosk)", "  etc/motd: kiosk over base-tools",
            "  kiosk.qcow2  kiosk.bmap  kiosk.json  kiosk.spdx.json  kiosk.log",
        ] {
            #expect(outcome.output.contains(line), "\(outcome.output)")
        }
        #expect(!outcome.output.contains("\u{1B}"))
    }

    /// The keys that other programs rely on: every one must be there, always.
    private struct Printed: Decodable {
        struct Layer: Decodable {
            let name, path, source, digest: String
            let dependencies: [String]
        }

        struct Phase: Decodable {
            let name, key, reason: String
            let cached: Bool
            let steps: [String]
        }

        struct Override: Decodable {
            let path, winner: String
            let losers: [String]
        }

        struct File: Decodable {
            let path, layer, source: String
        }

        struct Mention: Decodable, Equatable {
            let kind, name, layer, file: String
            let line: Int
        }

        let name, version, digest: String
        let base: [String: [String: String]]
        let layers: [Layer]
        let phases: [Phase]
        let overrides: [Override]
        let early, outputs: [String]
        let files: [File]
        let mentions: [Mention]
    }

    @Test("--json has every key that programs rely on")
    func json() async throws {
        let outcome = try await plan("examples/kiosk", "--json")
        let printed = try JSONDecoder().decode(Printed.self, from: Data(outcome.output.utf8))
        #expect(printed.name == "kiosk")
        #expect(printed.base == ["bootstrap": ["distribution": "debian", "suite": "bookworm"]])
        #expect(printed.layers.map(\.name) == ["base-tools", "kiosk"])
        #expect(printed.layers.map(\.source) == ["local", "local"])
        #expect(printed.layers.last?.path == Self.root + "/examples/kiosk/layers/kiosk")
        #expect(printed.phases.map(\.name) == ["base", "packages", "configs", "scripts", "finish"])
        #expect(printed.phases.allSatisfy { $0.key.count == 64 && !$0.reason.isEmpty })
        #expect(printed.overrides.map(\.path) == ["etc/motd"])
        #expect(printed.overrides.map(\.winner) == ["kiosk"])
        #expect(printed.overrides.map(\.losers) == [["base-tools"]])
        let motd = try #require(printed.files.first { $0.path == "etc/motd" })
        #expect(motd.layer == "kiosk" && motd.source == Self.root + "/examples/kiosk/layers/kiosk/configs/etc/motd")
        for mention in printed.mentions {
            let text = try String(contentsOfFile: mention.file, encoding: .utf8)
            let line = text.split(separator: "\n", omittingEmptySubsequences: false)[mention.line - 1]
            #expect(line.hasPrefix(mention.name), "\(mention)")
        }
        #expect(printed.mentions.filter { $0.kind == "debianPackage" }.map(\.name) == ["jq", "less", "figlet"])
        #expect(printed.mentions.filter { $0.kind == "variable" }.map(\.name).contains("KIOSK_TITLE"))
    }

    @Test("takes layer folders without a recipe")
    func folders() async throws {
        let layers = "examples/kiosk/layers"
        let outcome = try await plan("--layer", "\(layers)/kiosk", "\(layers)/base-tools", "--json")
        let printed = try JSONDecoder().decode(Printed.self, from: Data(outcome.output.utf8))
        #expect(printed.layers.map(\.name) == ["base-tools", "kiosk"])
        #expect(printed.name == "base-tools")
    }

    @Test("fails with one message and the right status")
    func failures() async throws {
        for (arguments, status, word) in [
            (["/nonexistent"], 66, "[not-found]"),
            (["--layer", "/nonexistent"], 65, "[layer-missing]"),
            (["--base", "/nonexistent"], 66, "[not-found]"),
            (["examples/kiosk", "--base", "x"], 64, "[usage]"),
            (["--no-such-flag"], 64, "no-such-flag"),
        ] {
            let outcome = try await Self.program.outcome(["plan"] + arguments, workingDirectory: Self.root)
            #expect(outcome.status == Int32(status), "\(arguments)")
            #expect(outcome.errors.contains(word), "\(outcome.errors)")
            #expect(outcome.output == "")
        }
    }
}
