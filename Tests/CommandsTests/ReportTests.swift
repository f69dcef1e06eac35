// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

@Suite("The record of a write")
struct ReportTests {
    @Test("is there although nothing could be started, and says why, with every key", arguments: ["write", "verify"])
    func failed(command: String) async throws {
        let folder = try TemporaryFolder()
        let place = try folder.write("an older one", to: "report.json")
        let image = folder.file("missing.raw")
        let outcome = try await FlashlayerProgram.run([command, image, "/dev/null", "--report", place, "--json"])
        #expect(outcome.status == 66, "\(outcome.errors)")
        let events = try outcome.events()
        #expect(events.compactMap { $0["event"]?.text } == ["finished", "summary"])

        let report = try JSONDecoder().decode(JSONValue.self, from: Data(contentsOf: URL(filePath: place)))
        #expect(report["schema"]?.number == 1)
        #expect(report["command"]?.text == command)
        #expect(report["exitStatus"]?.number == 66)
        #expect(report["image"]?["path"]?.text == image)
        for key in ["format", "size", "imageDigest", "sha256"] { #expect(report["image"]?[key] == .null, "\(key)") }
        for key in ["start", "end"] { #expect(report[key]?.text?.hasSuffix("Z") == true) }
        guard case .array(let targets)? = report["targets"], let target = targets.first else {
            Issue.record("it has no targets")
            return
        }
        #expect(target["path"]?.text == "/dev/null")
        #expect(target["result"]?.text == "fail")
        #expect(target["error"]?["code"]?.text == "not-found")
        for key in ["diskseq", "size", "vendor", "model", "serial", "transport", "port", "imageDigest"] {
            #expect(target[key] == .null, "\(key)")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["report.json"])
    }
}
