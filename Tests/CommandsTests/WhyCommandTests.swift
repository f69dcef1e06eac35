// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Programs
import TestSupport
import Testing

@Suite("flashlayer why")
struct WhyCommandTests {
    private static let kiosk = "\(Checkout.root)/examples/kiosk"

    private func why(_ arguments: String...) async throws -> (status: Int32, output: String, errors: String) {
        let outcome = try await FlashlayerProgram.run(["why", "--project", Self.kiosk] + arguments)
        return (outcome.status, outcome.output, outcome.errors)
    }

    @Test("says layer, file, line and phase, and who lost")
    func text() async throws {
        let file = try await why("/etc/motd")
        #expect(file.status == 0)
        #expect(file.output.contains("comes from layer kiosk: "))
        #expect(file.output.contains("/layers/kiosk/configs/etc/motd (phase configs)"))
        #expect(file.output.contains("over layer base-tools: "))
        let package = try await why("--package", "figlet")
        #expect(package.output.contains("figlet is asked for by layer kiosk: "))
        let number = try await grep("^figlet", "layers/kiosk/packages/debs.txt")
        #expect(package.output.contains("/layers/kiosk/packages/debs.txt:\(number) (phase packages)"))
        let variable = try await why("--env", "SITE_NAME")
        let line = try await grep("^SITE_NAME=", "layers/kiosk/environment")
        #expect(variable.output.contains("comes from layer kiosk: "))
        #expect(variable.output.contains("/layers/kiosk/environment:\(line) (phase configs)\n  SITE_NAME="))
    }

    private func grep(_ pattern: String, _ file: String) async throws -> String {
        let outcome = try await FlashlayerProgram.script(
            "grep -n \"$1\" \"$2\" | cut -d : -f 1",
            arguments: [pattern, "\(Self.kiosk)/\(file)"]
        )
        return outcome.output.filter { !$0.isNewline }
    }

    @Test("--json has every key that programs rely on")
    func json() async throws {
        let outcome = try await why("/bin/kiosk-page", "--json")
        let explanation = try JSONDecoder().decode(Explanation.self, from: Data(outcome.output.utf8))
        #expect(explanation.kind == .path)
        #expect(explanation.name == "/usr/bin/kiosk-page")
        #expect(explanation.sources.map(\.layer) == ["kiosk"])
        #expect(explanation.sources.map(\.phase) == [.configs])
        #expect(explanation.sources.first?.file == "\(Self.kiosk)/layers/kiosk/configs/bin/kiosk-page")
    }

    @Test("a package that no layer asks for is found in the image's description")
    func described() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write(
            #"{"packages": [{"name": "libjq1", "version": "1.6-2", "architecture": "amd64"}]}"#,
            to: "kiosk.json"
        )
        for named in [file, folder.file("kiosk.qcow2")] {
            let outcome = try await why("--package", "libjq1", "--image", named)
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output.contains("no layer asks for it"))
            #expect(outcome.output.contains("1.6-2 (amd64)"))
        }
        #expect(try await why("--package", "libjq11", "--image", file).errors.contains("did you mean libjq1?"))
    }

    @Test(
        "what is not known ends with one message and the right status",
        arguments: [
            (["/etc/mtod"], 66, "did you mean /etc/motd?"), (["/usr/sbin/init"], 66, "from the base"),
            (["--package", "figlte"], 66, "did you mean figlet?"),
            (["--env", "SITE_NAM"], 66, "did you mean SITE_NAME?"),
            (["/dev/sda"], 64, "flashlayer explain /dev/sda"), ([], 64, "--package NAME"),
            (["/etc/motd", "--env", "X"], 64, "one"),
            (["--package", "x", "--image", "/nonexistent.json"], 66, "/nonexistent.json"),
        ] as [([String], Int, String)]
    )
    func failures(arguments: [String], status: Int, word: String) async throws {
        let outcome = try await FlashlayerProgram.run(["why", "--project", Self.kiosk] + arguments)
        #expect(Int(outcome.status) == status, "\(outcome.errors)")
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.contains(word), "\(outcome.errors)")
    }
}
