// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

@Suite("flashlayer doctor")
struct DoctorCommandTests {
    private func doctor(path: String, _ arguments: String...) async throws -> Program.Outcome {
        let folder = try TemporaryFolder()
        let outcome = try await FlashlayerProgram.run(
            ["doctor"] + arguments,
            environment: ["FLASHLAYER_CACHE": folder.file("cache"), "PATH": path]
        )
        #expect(!FileManager.default.fileExists(atPath: folder.file("cache")), "looking changes nothing")
        return outcome
    }

    @Test("names what is missing with the command that brings it, and ends with 69")
    func missing() async throws {
        let outcome = try await doctor(path: "/nonexistent", "--json")
        #expect(outcome.status == 69)
        #expect(outcome.errors.contains("[unavailable]"))
        let report = try JSONDecoder().decode(JSONValue.self, from: Data(outcome.output.utf8))
        #expect(report["ready"] == .bool(false))
        guard case .array(let checks)? = report["checks"] else {
            Issue.record("checks are a list")
            return
        }
        let check = try #require(checks.first { $0["name"]?.text == "mmdebstrap" })
        #expect(check["state"]?.text == "problem")
        #expect(check["neededFor"]?.text == "bootstrap")
        #expect(check["remedy"]?.text?.hasSuffix("apt-get install mmdebstrap") == true)
        #expect(check["evidence"]?.text == "the program 'mmdebstrap' is not installed")
    }

    @Test("shows a line for each check, and the command below it")
    func text() async throws {
        let outcome = try await doctor(path: "/nonexistent")
        let lines = outcome.output.split(separator: "\n")
        let line = try #require(lines.firstIndex { $0.hasPrefix("problem  qemu-img ") })
        #expect(lines[line + 1].hasSuffix("apt-get install qemu-utils"))
        #expect(!outcome.output.contains("\u{1B}"))
    }
}
