// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Testing

@testable import ImageBuilder

@Suite("What a guest says after it has booted")
struct BootReportTests {
    @Test("counts only when it is complete", arguments: ["", "state running\n", "state running\nend", "end of\n"])
    func incomplete(text: String) {
        #expect(BootReport(text, assertions: []) == nil)
    }

    @Test("is good when systemd runs, nothing failed and every check passed")
    func good() throws {
        let report = try #require(
            BootReport(
                "state running\nkernel 6.1\nfirmware uefi\ncheck 0 0 7.25 7.75 aGkK\nend\n",
                assertions: [.command("echo hi")]
            )
        )
        #expect(report.isGood)
        #expect(report.complaint == nil)
        #expect(report.firmware == "uefi")
        #expect(report.checks == [.init(assertion: .command("echo hi"), status: 0, seconds: 0.5, output: "hi\n")])
    }

    @Test(
        "names what is wrong",
        arguments: [
            ("state degraded\nfailed a.service\nfailed b.service\nend\n", "failed units: a.service, b.service"),
            ("state maintenance\nend\n", "the system is maintenance"),
            ("state running\ncheck 0 7 1.0 2.0 bm8K\nend\n", "the check `false` ended with status 7:\n  no"),
            ("state running\ncheck 0 1 1.0 2.0 \nend\n", "the check `false` ended with status 1"),
            ("state running\ncheck 0 124 1.0 61.0 \nend\n", "the check `false` did not end within 60 s"),
            ("state running\ncheck 1 1 1.0 2.0 bm8K\nend\n", "the unit ssh.service is not active:\n  no"),
            (
                "state running\ncheck 0 1 1 2 \ncheck 1 1 2 3 \nend\n",
                "the check `false` ended with status 1\nthe unit ssh.service is not active"
            ),
        ]
    )
    func bad(text: String, complaint: String) throws {
        let report = try #require(BootReport(text, assertions: [.command("false"), .unit("ssh.service")]))
        #expect(!report.isGood)
        #expect(report.complaint == complaint)
    }
}
