// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Layers
import Model
import TestSupport
import Testing

@Suite("Why something is in the image")
struct WhyTests {
    let scratch: TemporaryFolder

    init() throws {
        scratch = try TemporaryFolder()
        for (file, text) in [
            ("layers/one/configs/etc/motd", "of one\n"),
            ("layers/one/configs/etc/hostname", "one\n"),
            ("layers/one/configs/bin/tool", "#!/bin/sh\n"),
            ("layers/one/configs/srv/thing/file", "x"),
            ("layers/one/configs/etc/apt/sources.list.d/one.list", "deb x y z\n"),
            ("layers/one/environment", "# a comment\nPLACE=here\nLESS=-R\n"),
            ("layers/one/packages/debs.txt", "curl=7.88*\n\njq:amd64 # both\n"),
            ("layers/two/layer-dependencies", "one\n"),
            ("layers/two/configs/etc/motd", "of two\n"),
            ("layers/two/configs/usr/bin/tool", "#!/bin/bash\n"),
            ("layers/two/configs/srv/thing", "a file\n"),
            ("layers/two/environment", "PLACE=there\n"),
            ("layers/two/packages/debs.txt", "jq\n-nano\n"),
            ("layers/two/packages/python.txt", "Flask_Login[x] >= 1\n"),
            (
                "flashlayer.toml",
                """
                name = "box"
                [image]
                timezone = "UTC"
                hostname = "box"
                [[layer]]
                type = "local"
                name = "two"
                """
            ),
        ] {
            try scratch.write("\(file)", text)
        }
    }

    private func plan() throws -> Plan { try Plan(.recipe(path: scratch.path)) }

    /// `LAYER FILE:LINE says`, lost ones in brackets.
    private func lines(_ explanation: Explanation?) throws -> [String] {
        try #require(explanation).sources.map { source in
            let file = source.file.map { String($0.dropFirst(scratch.path.count + 1)) }
            let place = (file ?? "-") + (source.line.map { ":\($0)" } ?? "")
            let line = "\(source.layer ?? "-") \(place) \(source.says)"
            return source.holds ? line : "(\(line))"
        }
    }

    private func path(_ path: String) throws -> [String] {
        let recipe = try RecipePlaces(project: scratch.path, variant: nil)
        return try lines(plan().explain(path: path, recipe: recipe))
    }

    @Test("the later layer brings a file, and the earlier one is named as well")
    func file() throws {
        #expect(
            try path("/etc/motd") == [
                "two layers/two/configs/etc/motd file of 7 bytes, 0:0 644",
                "(one layers/one/configs/etc/motd file of 7 bytes, 0:0 644)",
            ]
        )
        #expect(try path("etc//./motd") == path("/etc/motd"))
        #expect(try path("/usr/../etc/motd") == path("/etc/motd"))
    }

    @Test("a file of a layer on this machine is taken for where it goes")
    func hostPath() throws {
        #expect(try path("\(scratch.path)/layers/two/configs/etc/motd") == path("/etc/motd"))
    }

    @Test("a path is taken as it is shown, whatever its bytes")
    func shown() throws {
        let name = Pathname(Array("caf".utf8) + [0xE9] + Array(" a\nb\\".utf8))
        let file = Pathname(scratch("layers/two/configs/etc")).appending(name)
        try #require(unsafe file.withCString { unsafe close(creat($0, 0o644)) } == 0)
        let asked = #"/etc/caf\xe9 a\x0ab\\"#
        let explanation = try #require(try plan().explain(path: asked, recipe: nil))
        #expect(explanation.name == asked)
        let source = try #require(explanation.sources.first?.file)
        #expect(source == scratch("layers/two/configs") + asked)
        #expect(try plan().explain(path: source, recipe: nil) == explanation)
        #expect(try plan().explain(path: asked.replacing("xe9", with: "xE9"), recipe: nil) == explanation)
    }

    @Test("a path is the same through the links of a guest, whichever way it is asked for or brought")
    func mergedUsr() throws {
        let expected = [
            "two layers/two/configs/usr/bin/tool file of 12 bytes, 0:0 644",
            "(one layers/one/configs/bin/tool file of 10 bytes, 0:0 644, as /bin/tool)",
        ]
        #expect(try path("/bin/tool") == expected)
        #expect(try path("/usr/bin/tool") == expected)
    }

    @Test("what was below a folder is lost to the file that took the folder's place")
    func folderTaken() throws {
        #expect(
            try path("/srv/thing/file") == [
                "two layers/two/configs/srv/thing file of 7 bytes, 0:0 644",
                "(one layers/one/configs/srv/thing/file file of 1 bytes, 0:0 644)",
            ]
        )
    }

    @Test("a folder is shared, and what lies in it is counted")
    func folder() throws {
        let explanation = try #require(try plan().explain(path: "/etc", recipe: nil))
        #expect(explanation.sources.map(\.layer) == ["one", "two"])
        #expect(explanation.sources.map(\.holds) == [true, true])
        #expect(explanation.notes == ["3 files below it come from one, two"])
    }

    @Test("what the recipe sets is found in the recipe, and goes over what layers bring")
    func settings() throws {
        #expect(
            try path("/etc/hostname") == [
                "- flashlayer.toml:4 hostname = box", "(one layers/one/configs/etc/hostname file of 4 bytes, 0:0 644)",
            ]
        )
        #expect(try path("/etc/timezone") == ["- flashlayer.toml:3 timezone = UTC"])
        #expect(try path("/opt/box/venv/bin/python") == ["two layers/two/packages/python.txt:1 Flask_Login[x] >= 1"])
        #expect(
            try path("/etc/environment") == [
                "two layers/two/environment:1 PLACE=there", "one layers/one/environment:3 LESS=-R",
                "(one layers/one/environment:2 PLACE=here)",
            ]
        )
    }

    @Test("early files say so")
    func early() throws {
        let explanation = try plan().explain(path: "/etc/apt/sources.list.d/one.list", recipe: nil)
        #expect(explanation?.notes.first?.contains("before packages") == true)
    }

    @Test("all who ask for a package are listed, however they write it")
    func package() throws {
        #expect(
            try lines(plan().explain(package: "jq")) == [
                "one layers/one/packages/debs.txt:3 jq:amd64", "two layers/two/packages/debs.txt:1 jq",
            ]
        )
        #expect(try lines(plan().explain(package: "curl")) == ["one layers/one/packages/debs.txt:1 curl=7.88*"])
        #expect(try lines(plan().explain(package: "nano")) == ["two layers/two/packages/debs.txt:2 -nano"])
        #expect(
            try lines(plan().explain(package: "flask-login")) == [
                "two layers/two/packages/python.txt:1 Flask_Login[x] >= 1"
            ]
        )
        #expect(
            try lines(plan().explain(package: "python3-venv")) == [
                "two layers/two/packages/python.txt:1 pip needs it for Flask_Login[x] >= 1"
            ]
        )
    }

    @Test("a variable has the value of the last layer")
    func variable() throws {
        #expect(
            try lines(plan().explain(variable: "PLACE")) == [
                "two layers/two/environment:1 PLACE=there", "(one layers/one/environment:2 PLACE=here)",
            ]
        )
    }

    @Test("what nobody brings is not explained, and the next best is offered")
    func nothing() throws {
        let plan = try plan()
        #expect(plan.explain(path: "/etc/mtod", recipe: nil) == nil)
        #expect(plan.pathNear("/etc/mtod") == "/etc/motd")
        #expect(plan.pathNear("tool") == "/usr/bin/tool")
        #expect(plan.pathNear("/completely/different") == nil)
        #expect(plan.explain(package: "crul") == nil)
        #expect(plan.packageNear("crul") == "curl")
        #expect(plan.explain(variable: "place") == nil)
        #expect(plan.variableNear("PLAEC") == "PLACE")
    }
}
