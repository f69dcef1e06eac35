// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Testing

@testable import ImageBuilder

@Suite("What a guest says after it has booted")
struct BootReportTests {
    @Test("counts only when it is complete", arguments: ["", "state running\n", "state running\nend", "end of\n"])
    func incomplete(text: String) {
        #expect(BootReport(text, commands: []) == nil)
    }

    @Test("is good when systemd runs, nothing failed and every check passed")
    func good() throws {
        let report = try #require(
            BootReport("state running\nkernel 6.1\nfirmware uefi\ncheck 0 0 aGkK\nend\n", commands: ["echo hi"])
        )
        #expect(report.isGood)
        #expect(report.complaint == nil)
        #expect(report.firmware == "uefi")
        #expect(report.checks == [.init(command: "echo hi", status: 0, output: "hi\n")])
    }

    @Test(
        "names what is wrong",
        arguments: [
            ("state degraded\nfailed a.service\nfailed b.service\nend\n", "failed units: a.service, b.service"),
            ("state maintenance\nend\n", "the system is maintenance"),
            ("state running\ncheck 0 7 bm8K\nend\n", "the check `false` ended with status 7:\n  no"),
            ("state running\ncheck 0 1 \nend\n", "the check `false` ended with status 1"),
        ]
    )
    func bad(text: String, complaint: String) throws {
        let report = try #require(BootReport(text, commands: ["false"]))
        #expect(!report.isGood)
        #expect(report.complaint == complaint)
    }
}
