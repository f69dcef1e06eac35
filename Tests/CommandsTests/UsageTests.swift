// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

/// A command line, and what must be said of it.
private struct Wrong: CustomTestStringConvertible {
    let arguments: [String]
    let status: Int32
    let code: String
    /// Stands in the sentence or in the advice.
    let word: String

    init(_ arguments: String, _ status: Int32, _ code: String, _ word: String) {
        self.arguments = arguments.split(separator: " ").map(String.init)
        self.status = status
        self.code = code
        self.word = word
    }

    var testDescription: String { arguments.joined(separator: " ") }
}

@Suite("A command line that cannot work")
struct UsageTests {
    @Test(
        "gets one sentence with its code and what to do, on standard error, and nothing happens",
        arguments: [
            Wrong("frobnicate", 64, "usage", "'flashlayer --help' lists the commands"),
            Wrong("wirte", 64, "usage", "did you mean 'write'?"),
            Wrong("_engin", 64, "usage", "there is no command '_engin'"),
            Wrong("--frobnicate", 64, "usage", "unknown option '--frobnicate'"),
            Wrong("write", 64, "usage", "flashlayer write <image> <target>"),
            Wrong("write image.raw", 64, "usage", "<target>"),
            Wrong("write image.raw /dev/null --yess", 64, "usage", "'--yes'"),
            Wrong("write image.raw /dev/null --timeout 0", 64, "usage", "--timeout"),
            Wrong("write image.raw /dev/null --timeout 9223372036854775807", 64, "usage", "86400"),
            Wrong("write image.raw /dev/null --timeout soon", 64, "usage", "'soon'"),
            Wrong("write image.raw /dev/null --color blue", 64, "usage", "'always'"),
            Wrong("write image.raw /dev/null --only-changed --full", 64, "usage", "--full"),
            Wrong("write image.raw /dev/null --holes fill", 64, "usage", "'skip'"),
            Wrong("write image.raw /dev/null --repair 17", 64, "usage", "0 to 16"),
            Wrong("write image.raw /dev/null --bmap x --no-bmap", 64, "usage", "--no-bmap"),
            Wrong("write image.raw /dev/null --sha256 abc", 64, "usage", "sha256sum"),
            Wrong("write IMAGE /dev/null --report /nonexistent/folder/r", 73, "cannot-create", "/nonexistent/folder/r"),
            Wrong("write IMAGE /dev/null --bmap /nonexistent/map", 66, "not-found", "/nonexistent/map"),
            Wrong("write IMAGE /dev/null --bmap IMAGE", 65, "bad-image", "--no-bmap"),
            Wrong("write IMAGE /dev/null /dev/null", 64, "usage", "named twice"),
            Wrong("verify IMAGE null:", 64, "usage", "null:"),
            Wrong("map", 64, "usage", "flashlayer map <image>"),
            Wrong("map IMAGE --json -o -", 64, "usage", "-o FILE"),
            Wrong("map IMAGE -o /nonexistent/folder/map", 73, "cannot-create", "/nonexistent/folder/map"),
            Wrong("write image.raw /dev/null --allow mounted", 64, "usage", "cannot be lifted"),
            Wrong("write image.raw /dev/null --allow everything", 64, "usage", "there is no such rule"),
            Wrong("write /nonexistent/image.raw /dev/null --yes", 66, "not-found", "/nonexistent/image.raw"),
            Wrong("write /usr /dev/null --yes", 65, "bad-image", "/usr"),
            Wrong("write /dev/null /dev/null --yes", 65, "bad-image", "/dev/null"),
            Wrong("write IMAGE /dev/null --yes", 77, "not-block-device", "'flashlayer devices'"),
            Wrong("write IMAGE /nonexistent/disk --yes", 66, "not-found", "/nonexistent/disk"),
            Wrong("verify", 64, "usage", "flashlayer verify <image> <target>"),
            Wrong("verify /nonexistent/image.raw /dev/null", 66, "not-found", "/nonexistent/image.raw"),
            Wrong("verify IMAGE /dev/null", 77, "not-block-device", "/dev/null"),
            Wrong("devices /dev/null", 64, "usage", "'/dev/null'"),
            Wrong("devices --log /nonexistent/folder/log", 73, "cannot-create", "/nonexistent/folder/log"),
            Wrong("explain", 64, "usage", "flashlayer explain <device>"),
            Wrong("explain /nonexistent", 66, "not-found", "flashlayer why /nonexistent"),
            Wrong("explain size", 64, "usage", "put the hints in quotes"),
            Wrong("explain serail=x", 64, "usage", "did you mean 'serial'?"),
            Wrong("explain serial=nobody-has-this", 66, "not-found", "no disk fits the hints"),
            Wrong("explain /dev/null --allow mounted", 64, "usage", "cannot be lifted"),
            Wrong("explain /dev/null --image /nonexistent", 66, "not-found", "/nonexistent"),
            Wrong("write IMAGE serial=4C53*,size --yes", 64, "usage", "eaten by the shell"),
            Wrong("write IMAGE serial=nobody-has-this --yes", 66, "not-found", "no disk fits the hints"),
            Wrong("write IMAGE /dev/null --wait 86401", 64, "usage", "--wait"),
            Wrong("verify IMAGE size=7G..3G", 64, "usage", "is no range"),
            Wrong("plan /nonexistent", 66, "not-found", "/nonexistent"),
            Wrong("build /nonexistent", 66, "not-found", "flashlayer.toml"),
            Wrong("build --format vdi", 64, "usage", "'qcow2'"),
            Wrong("build KIOSK -o k.vmdk", 64, "usage", "qcow2 or raw"),
            Wrong("build KIOSK -o k.VDI", 64, "usage", "qcow2 or raw"),
            Wrong("build KIOSK -o /nonexistent/k.vmdk --format raw", 73, "cannot-create", "/nonexistent"),
            Wrong("build-and-write /dev/null --project KIOSK -o k.iso --yes", 64, "usage", "qcow2 or raw"),
            Wrong("build --refresh everything", 64, "usage", "'packages'"),
            Wrong("build --base /nonexistent --layer LAYER", 66, "not-found", "/nonexistent"),
            Wrong("build --base IMAGE -o IMAGE", 73, "cannot-create", "-o FILE"),
            Wrong("build KIOSK -o /nonexistent/folder/kiosk.qcow2", 73, "cannot-create", "/nonexistent/folder"),
            Wrong("build-and-write", 64, "usage", "flashlayer build-and-write <target>"),
            Wrong("build-and-write /dev/null --project /nonexistent", 66, "not-found", "/nonexistent"),
            Wrong("build-and-write /dev/null --project KIOSK --yes", 77, "not-block-device", "/dev/null"),
            Wrong("boot-test", 64, "usage", "flashlayer boot-test <image>"),
            Wrong("boot-test /nonexistent", 66, "not-found", "/nonexistent"),
            Wrong("boot-test /usr", 65, "bad-image", "/usr"),
            Wrong("boot-test IMAGE --timeout 0", 64, "usage", "--timeout"),
            Wrong("boot-test IMAGE --variant lab", 64, "usage", "--project"),
            Wrong("boot-test IMAGE --project /nonexistent", 66, "not-found", "/nonexistent"),
            Wrong("boot-test IMAGE --junit /nonexistent/folder/x.xml", 73, "cannot-create", "/nonexistent/folder"),
            Wrong("boot-test IMAGE --serial-log /proc/nonexistent", 73, "cannot-create", "/proc/nonexistent"),
        ]
    )
    private func wrong(_ wrong: Wrong) async throws {
        let folder = try TemporaryFolder()
        let image = folder.file("image.raw")
        try TestImage.create(image, size: 1 << 20, data: [0..<512])
        let kiosk = "\(Checkout.root)/examples/kiosk"
        let stands = ["IMAGE": image, "KIOSK": kiosk, "LAYER": "\(kiosk)/layers/base-tools"]
        let outcome = try await FlashlayerProgram.run(
            wrong.arguments.map { stands[$0] ?? $0 },
            environment: ["FLASHLAYER_CACHE": folder.file("cache")]
        )
        #expect(outcome.status == wrong.status, "\(outcome.errors)")
        #expect(outcome.output.isEmpty)
        let lines = outcome.errors.split(separator: "\n")
        #expect(lines.first?.hasPrefix("flashlayer: ") == true, "\(outcome.errors)")
        #expect(lines.first?.hasSuffix(" [\(wrong.code)]") == true, "\(outcome.errors)")
        #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("  ") }, "\(outcome.errors)")
        #expect(outcome.errors.contains(wrong.word), "\(outcome.errors)")
    }

    @Test(
        "standard output holds the answer alone",
        arguments: [["devices", "--json"], ["plan", "--json", "PROJECT"]]
    )
    func answer(arguments: [String]) async throws {
        let project = "\(Checkout.root)/examples/kiosk"
        let outcome = try await FlashlayerProgram.run(arguments.map { $0 == "PROJECT" ? project : $0 } + ["-v"])
        #expect(outcome.status == 0, "\(outcome.errors)")
        _ = try JSONDecoder().decode(JSONValue.self, from: Data(outcome.output.utf8))
    }

    @Test("'explain' says of a file that it is no disk, and who explains files; 'why' of a disk who explains disks")
    func mixedUp() async throws {
        let file = try await FlashlayerProgram.run(["explain", "/etc/passwd"])
        #expect(file.status == 77)
        #expect(file.output.contains("FAIL     not-block-device  it is a file"), "\(file.output)")
        #expect(file.errors.contains("flashlayer why /etc/passwd"), "\(file.errors)")
        let disk = try await FlashlayerProgram.run(["why", "/dev/sdb"])
        #expect(disk.status == 64 && disk.errors.contains("flashlayer explain /dev/sdb"), "\(disk.errors)")
    }

    @Test("--log keeps what was said, the last word included")
    func log() async throws {
        let folder = try TemporaryFolder()
        let log = folder.file("log")
        let failed = try await FlashlayerProgram.run(["plan", "/nonexistent", "--log", log, "--quiet"])
        #expect(failed.status == 66)
        #expect(try String(contentsOfFile: log, encoding: .utf8) == failed.errors + "\n")
    }

    @Test("colours are for terminals, unless they are asked for")
    func colours() async throws {
        let project = "\(Checkout.root)/examples/kiosk"
        let plain = try await FlashlayerProgram.run(["plan", project])
        #expect(!plain.output.contains("\u{1B}") && !plain.errors.contains("\u{1B}"))
        let asked = try await FlashlayerProgram.run(["plan", project, "--color", "always"])
        #expect(asked.output.contains("\u{1B}["))
    }
}
