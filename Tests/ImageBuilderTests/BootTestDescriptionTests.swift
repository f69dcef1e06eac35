// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import TestSupport
import Testing

@testable import ImageBuilder

@Suite("What is asserted of an image")
struct BootTestDescriptionTests {
    private func settings(beside text: String?) throws -> BootTestSettings? {
        let folder = try TemporaryFolder()
        if let text { try folder.write(text, to: "kiosk.json") }
        return try BootTestDescription.settings(of: folder.file("kiosk.qcow2"))
    }

    @Test("is found in the description beside it")
    func found() throws {
        let text = """
            {"flashlayerVersion": "1.0.0", "bootTest":
             {"units": ["ssh.service"], "commands": ["true"], "timeout": 90, "firmware": ["secure-boot"]}}
            """
        let found = try #require(try settings(beside: text))
        #expect(found.units == ["ssh.service"])
        #expect(found.commands == ["true"])
        #expect(found.timeout == 90)
        #expect(found.firmware == [.secureBoot])
    }

    @Test(
        "is nothing where there is no description, an older one, or a file of somebody else's",
        arguments: [nil, "{\"flashlayerVersion\": \"1.0.0\"}", "[1, 2]", "no JSON", "{\"bootTest\": 7}"]
    )
    func nothing(text: String?) throws {
        #expect(try settings(beside: text) == nil)
    }

    @Test("is never overlooked: a description that cannot be understood fails the test")
    func notUnderstood() throws {
        let error = #expect(throws: FlashlayerError.self) {
            try settings(beside: "{\"flashlayerVersion\": \"9.0.0\", \"bootTest\": {\"units\": 7}}")
        }
        #expect(error?.code == .badImage)
    }
}
