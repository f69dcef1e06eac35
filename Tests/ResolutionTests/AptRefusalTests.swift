// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Resolution
import Testing

@Suite("What apt refuses")
struct AptRefusalTests {
    private func message(_ packages: [String], errors: String, output: String = "") -> String {
        AptRefusal(output: output, errors: errors, packages).error { "asked for by of-\($0)" }.message
    }

    @Test("a version that no source has is told with who asks for it")
    func version() {
        let text = message(["curl", "jq=99"], errors: "E: Version '99' for 'jq' was not found\n")
        #expect(text.hasSuffix("\n  Version '99' for 'jq' was not found (jq: asked for by of-jq)"), "\(text)")
    }

    @Test("unmet dependencies and conflicts are told with who asks for the packages")
    func unmet() {
        let output = """
            Reading package lists...
            The following packages have unmet dependencies:
             vim : Conflicts: nano but 7.2-1 is to be installed
             libx : Depends: liby (>= 2) but it is not installable

            """
        let errors = "E: Unable to correct problems, you have held broken packages.\n"
        let text = message(["vim:amd64", "nano/sid", "-held2"], errors: errors, output: output)
        #expect(text.contains("is to be installed (vim: asked for by of-vim; nano: asked for by of-nano)\n"), "\(text)")
        #expect(text.contains("libx : Depends: liby (>= 2) but it is not installable\n  Unable to correct"), "\(text)")
    }

    @Test("a name that no source knows is told with who asks for it")
    func unknown() {
        let text = message(["crul"], errors: "W: x\nE: Unable to locate package crul\n")
        #expect(text.hasSuffix("no package named 'crul' (asked for by of-crul)"), "\(text)")
    }
}
