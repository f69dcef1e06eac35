// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Programs
import TestSupport
import Testing

@testable import ImageBuilder

@Suite("The JUnit report of a boot test")
struct JUnitReportTests {
    private static let assertions: [BootAssertion] = [
        .unit("ssh.service"), .command("test \"$(cat /etc/motd)\" = '<&>'"), .command("echo one\necho two"),
    ]

    /// What a broken guest may print: colours, a bell, a NUL, half a character, XML of its own.
    private static let nasty = "\u{1B}[31mred\u{7}\u{0}\u{FFFE} ]]> </failure> & \"quoted\"\r\n\tend \u{1F4A5}"

    private func outcome(_ firmware: BootTest.Firmware, _ report: BootReport?, _ complaint: String?) -> BootTest.Outcome
    {
        BootTest.Outcome(
            firmware: firmware,
            accelerator: .tcg,
            start: 86400,
            seconds: 44.5004,
            report: report,
            serialLog: "/tmp/a&b.\(firmware.rawValue).serial.log",
            bootComplaint: complaint,
            error: complaint.map { FlashlayerError(.bootFailed, "did not come up well: \($0)") }
        )
    }

    /// Asks xmllint, which shares no code with us.
    private func ask(_ question: String, of xml: String) async throws -> String {
        let folder = try TemporaryFolder()
        let file = try folder.write(xml, to: "report.xml")
        let answer = try await Program("xmllint", debianPackage: "libxml2-utils").run(["--xpath", question, file])
        return answer.hasSuffix("\n") ? String(answer.dropLast()) : answer
    }

    private func xml() throws -> String {
        let text = """
            state running
            kernel 6.1.0
            firmware bios
            check 0 0 10.5 10.75 \("active".base64)
            check 1 3 10.75 12.0 \(Self.nasty.base64)
            check 2 0 12.0 12.0 \("".base64)
            end

            """
        let report = try #require(BootReport(text, assertions: Self.assertions))
        let silent = outcome(.secureBoot, nil, "it said nothing within 5 s")
        return JUnitReport(
            image: "a<b>.qcow2",
            outcomes: [outcome(.bios, report, nil), silent],
            assertions: Self.assertions
        ).xml
    }

    @Test(
        "has a suite for each firmware, with a case for the boot and one for each thing that was asserted",
        arguments: [
            ("count(/testsuites/testsuite)", "2"),
            ("string(//testsuite[1]/@name)", "a<b>.qcow2 (BIOS)"),
            ("string(//testsuite[1]/@timestamp)", "1970-01-02T00:00:00"),
            ("string(//testsuite[1]/@tests)", "4"),
            ("count(//testsuite[1]/testcase)", "4"),
            ("string(//testsuite[1]/@failures)", "1"),
            ("count(//testsuite[1]//failure)", "1"),
            ("string(//testsuite[1]/testcase[1]/@name)", "boot"),
            ("string(//testsuite[1]/testcase[1]/@time)", "44.500"),
            ("string(//testsuite[1]/testcase[2]/@name)", "unit ssh.service"),
            ("string(//testsuite[1]/testcase[2]/@time)", "0.250"),
            ("string(//testsuite[1]/testcase[3]/@name)", "command test \"$(cat /etc/motd)\" = '<&>'"),
            ("string(//testsuite[1]/testcase[4]/@name)", "command echo one; echo two"),
            ("string(//testsuite[1]//failure/@type)", "boot-failed"),
            ("string(//testsuite[2]/@failures)", "1"),
            ("string(//testsuite[2]/@skipped)", "3"),
            ("count(//testsuite[2]/testcase/skipped)", "3"),
            ("string(//testsuite[2]/testcase[1]/failure/@message)", "it said nothing within 5 s"),
            ("string(//testsuite[2]/system-out)", "serial console: /tmp/a&b.secure-boot.serial.log"),
            ("string(//testsuite[1]/properties/property[@name='accelerator']/@value)", "tcg"),
        ]
    )
    func shape(question: String, answer: String) async throws {
        #expect(try await ask(question, of: try xml()) == answer)
    }

    @Test("carries any output of a guest: what XML cannot hold is replaced, all else arrives as it was")
    func nastyOutput() async throws {
        let arrived = try await ask("string(//failure)", of: try xml())
        let expected = Self.nasty.unicodeScalars.map { scalar -> Character in
            [0x1B, 0x7, 0x0, 0xFFFE].contains(scalar.value) ? "\u{FFFD}" : Character(scalar)
        }
        #expect(Array(arrived.unicodeScalars) == Array(String(expected).unicodeScalars))
    }
}

extension String {
    fileprivate var base64: String { Data(utf8).base64EncodedString() }
}
