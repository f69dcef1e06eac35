// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Glibc
import Layers
import Model
import TestSupport
import Testing

@Suite("Layer folders")
struct LayerFolderTests {
    let scratch: TemporaryFolder

    init() throws {
        scratch = try TemporaryFolder()
    }

    private func read() throws -> Layer {
        try Layer(name: "a", path: scratch("a"), source: "local")
    }

    // As DESIGN has them, written out: the product builds its list otherwise.
    static let debianLists = [
        "packages/debs.txt", "packages/dpms.txt", "package-lists/deb-requirements.txt",
        "package-lists/dep-requirements.txt", "package-lists/dpm-requirements.txt", "packages/deb-requirments.txt",
        "packages/dpm-requirments.txt", "package-lists/deb-requirments.txt", "package-lists/dpm-requirments.txt",
    ]
    static let redHatLists = [
        "packages/rpms.txt", "package-lists/rpm-requirements.txt", "packages/rpm-requirments.txt",
    ]
    static let pythonLists = [
        "packages/python.txt", "package-lists/pip-requirements.txt", "packages/pip-requirments.txt",
        "package-lists/pip-requirments.txt",
    ]

    @Test("every spelling of a package list is read", arguments: debianLists + redHatLists + pythonLists)
    func spelling(file: String) throws {
        try scratch.write("a/\(file)", "# comment\r\n\r\n  one # why\r\ntwo")
        let layer = try read()
        let expected = ["one", "two"]
        #expect(layer.debianPackages == (Self.debianLists.contains(file) ? expected : []))
        #expect(layer.redHatPackages == (Self.redHatLists.contains(file) ? expected : []))
        #expect(layer.pythonPackages == (Self.pythonLists.contains(file) ? expected : []))
    }

    @Test("all spellings that are present are read, in the order of the table")
    func allSpellings() throws {
        for (index, file) in Self.debianLists.enumerated().reversed() { try scratch.write("a/\(file)", "p\(index)\n") }
        #expect(try read().debianPackages == Self.debianLists.indices.map { "p\($0)" })
    }

    @Test("it is known where each package and each variable stands")
    func mentions() throws {
        try scratch.write("a/packages/debs.txt", "# tools\n\njq less\n-nano\n")
        try scratch.write("a/packages/python.txt", "a \\\n  >= 1\nb\n")
        try scratch.write("a/envionrment", "\n# why\nKEY=value\n")
        let lines = try read().mentions.map { "\($0.file.dropFirst(scratch("a").count)):\($0.line) \($0.text)" }
        #expect(
            lines == [
                "/packages/debs.txt:3 jq", "/packages/debs.txt:3 less", "/packages/debs.txt:4 -nano",
                "/packages/python.txt:1 a    >= 1", "/packages/python.txt:3 b", "/envionrment:3 KEY",
            ]
        )
    }

    @Test(
        "Debian packages may carry a version, a release, an architecture, or a minus",
        arguments: ["curl", "g++", "libc6:amd64", "curl=7.88*", "curl/bookworm-backports", "-nano", "0ad", "a.b"]
    )
    func debianName(name: String) throws {
        try scratch.write("a/packages/debs.txt", "vim  \(name)")
        #expect(try read().debianPackages == ["vim", name])
    }

    @Test(
        "what is no package name is told with file and line",
        arguments: [
            ("debs.txt", "--allow-downgrades"), ("debs.txt", "-o=Dpkg::x"), ("debs.txt", "nano-"), ("debs.txt", "x;id"),
            ("debs.txt", "Curl"), ("debs.txt", "./a.deb"), ("debs.txt", "curl="), ("debs.txt", "x"),
            ("rpms.txt", "--nogpgcheck"), ("rpms.txt", "a;b"), ("rpms.txt", "foo >= 1"), ("rpms.txt", "./x.rpm"),
            ("rpms.txt", "--"), ("rpms.txt", "-"), ("debs.txt", "-curl=1"), ("debs.txt", "curl\u{1B}[2J"),
        ]
    )
    func badName(file: String, name: String) throws {
        try scratch.write("a/packages/\(file)", "# one\nvim\n\(name)\n")
        let message = failure(.badLayer) { _ = try read() }
        #expect(message.contains("/a/packages/\(file):3: "), "\(message)")
        #expect(!message.contains("\u{1B}"))
    }

    @Test("Python requirements keep their markers, fragments and continued lines")
    func python() throws {
        try scratch.write(
            "a/packages/python.txt",
            "x ; python_version < \"3.12\" # why\ngit+https://g/r.git#egg=r\ny==1 \\\n    --hash=sha256:00\nz\n"
        )
        let expected = [
            "x ; python_version < \"3.12\"", "git+https://g/r.git#egg=r", "y==1      --hash=sha256:00", "z",
        ]
        #expect(try read().pythonPackages == expected)
    }

    @Test(
        "Red Hat packages may carry a version, a release, an architecture, a group, a file, or a minus",
        arguments: [
            "curl", "curl-7.76*", "pkg-1:1.2-3.el9.x86_64", "@development-tools", "@^minimal", "/usr/bin/vim", "-nano",
            "libstdc++", "R", "python3[12]", "https://h/p/x-1.noarch.rpm",
        ]
    )
    func redHatName(name: String) throws {
        try scratch.write("a/packages/rpms.txt", "vim  \(name)")
        #expect(try read().redHatPackages == ["vim", name])
    }

    @Test(
        "what pip understands is passed through",
        arguments: [
            "flask", "flask[async,dotenv]>=2,<3", "flask == 2.*", "flask ~=2.1 ; python_version < '3.12'",
            "zope.interface",
            "x @ https://h/x-1.whl", "x[y] @ git+ssh://git@h/r.git@v1#subdirectory=p", "git+https://h/r.git#egg=r",
            "https://h/x.tar.gz", "x --hash=sha256:00 --hash=sha256:01", "x --config-settings=a=b", "x(>=1)", "x===1",
            "--index-url https://h/simple", "-i https://h/simple", "--extra-index-url=https://u:p@h/s", "--pre",
            "--no-binary :all:", "--only-binary=:none:", "--prefer-binary", "--trusted-host h:8080", "--require-hashes",
            "--find-links https://h/links", "-f https://h/l", "--no-index",
            "-i https://h/s --extra-index-url https://h/t",
        ]
    )
    func pip(line: String) throws {
        try scratch.write("a/packages/python.txt", "first\n\(line)\n")
        #expect(try read().pythonPackages == ["first", line])
    }

    @Test(
        "what names a file that the guest does not have is told with its line",
        arguments: [
            "-r other.txt", "-rother.txt", "--requirement=o", "-c c.txt", "--constraint c.txt", "-e .",
            "-e git+https://h/r",
            "--editable=x", ".", "./x", "../x.whl", "/srv/x.whl", "~/x", "x-1.0.whl", "dist/x", "x.tar.gz",
            "file:///x.whl", "file:x", "x @ file:///x", "x @ ./x", "git+file:///r", "--find-links /srv", "-f links",
            "--index-url", "--index-url=", "--index-url file:///x", "--target /x", "--pre=1", "x --target=/",
            "=1", "x y", "x | y", "--pre x",
        ]
    )
    func notPip(line: String) throws {
        try scratch.write("a/packages/python.txt", "first\\\n  ==1\n# \n\(line)\nlast\n")
        #expect(failure(.badLayer) { _ = try read() }.contains("/a/packages/python.txt:4: "))
    }

    @Test("a list may lack its last line end, start with a byte order mark, and have Windows' line ends")
    func lineEnds() throws {
        let text = "\u{FEFF}# top\r\n\r\nvim # why\r\n\t\r\n  # indented\r\ncurl"
        for file in ["debs.txt", "rpms.txt", "python.txt"] { try scratch.write("a/packages/\(file)", text) }
        try scratch.write("a/layer-dependencies", text)
        let layer = try read()
        for list in [layer.debianPackages, layer.redHatPackages, layer.pythonPackages, layer.dependencies] {
            #expect(list == ["vim", "curl"])
        }
    }

    @Test(
        "values of the environment are kept to the letter",
        arguments: [
            ("K=V", "V"), ("K=", ""), ("K=a=b=c", "a=b=c"), ("K=a#b # c", "a#b # c"), ("K=\"a b\"", "\"a b\""),
            ("K='x", "'x"), ("K= a  b ", " a  b "), ("  K=V", "V"), ("export K=V", "V"), ("K=V\r", "V"),
            ("K=a\\b$C", "a\\b$C"), ("K=ü", "ü"), ("\u{FEFF}K=V", "V"),
        ]
    )
    func environment(line: String, value: String) throws {
        try scratch.write("a/environment", "\(line)\n# comment=x\n\n   # another\nLAST=1")
        let expected = [Layer.Variable(key: "K", value: value), Layer.Variable(key: "LAST", value: "1")]
        #expect(try read().environment == expected)
    }

    @Test("both spellings of the environment are read, in order")
    func environmentSpellings() throws {
        try scratch.write("a/envionrment", "B=2")
        #expect(try read().environment.map(\.key) == ["B"])
        try scratch.write("a/environment", "A=1")
        #expect(try read().environment.map(\.key) == ["A", "B"])
    }

    @Test("what is no variable is told with file and line", arguments: ["K", "=V", "K =V", "1K=V", "A-B=V", "K=V\\"])
    func badEnvironment(line: String) throws {
        try scratch.write("a/environment", "A=1\n\(line)\nB=2\n")
        let message = failure(.badLayer) { _ = try read() }
        #expect(message.contains("/a/environment:2: "), "\(message)")
    }

    @Test(
        "a session sees values without the quotes around them",
        // As pam_env of Debian 12 gave them.
        arguments: [
            ("\"a b\"", "a b"), ("'x y'", "x y"), ("\"x", "x"), (" lead", " lead"), ("trail  ", "trail  "),
            ("a=b=c", "a=b=c"), ("\"a\"b\"c\"", "a\"b\"c"), ("\"q\"  ", "q\"  "), ("x\"y\"", "x\"y\""), ("", ""),
            ("\"a'", "a"), ("'a\"b'", "a\"b"),
        ]
    )
    func unquoted(value: String, expected: String) {
        #expect(Layer.Variable(key: "K", value: value).unquoted == expected)
    }

    @Test("scripts run in the order of their bytes, and what editors leave is no script")
    func scripts() throws {
        for name in ["b.sh", "a.sh", "B.sh", "10-x", "9-y", "ä"] {
            try scratch.write("a/scripts/\(name)", "#!/bin/sh\n")
        }
        for name in [".hidden", "a.sh~", "a.sh.swp", ".a.sh.swp", "#a.sh#"] {
            try scratch.write("a/scripts/\(name)", "x")
        }
        #expect(try read().scripts.map(\.name) == ["10-x", "9-y", "B.sh", "a.sh", "b.sh", "ä"])
    }

    @Test(
        "a script that could not run is refused by name",
        arguments: ["", "echo", " #!/bin/sh\n", "#!\n", "#!bash\n", "#!/bin/sh\r\necho\r\n", "\u{FEFF}#!/bin/sh\n"]
    )
    func badScript(text: String) throws {
        try scratch.write("a/scripts/10-x.sh", text)
        #expect(failure(.badLayer) { _ = try read() }.contains("/a/scripts/10-x.sh:1: "))
    }

    @Test("scripts/ takes regular files only")
    func scriptKinds() throws {
        try scratch.link("a/scripts/10-x.sh", to: "/etc/passwd")
        #expect(failure(.badLayer) { _ = try read() }.contains("10-x.sh: not a regular file"))
        try scratch.remove("a/scripts/10-x.sh")
        try scratch.folder("a/scripts/sub")
        #expect(failure(.badLayer) { _ = try read() }.contains("scripts/sub: not a regular file"))
    }

    @Test(
        "nothing of a layer is read through a link",
        arguments: ["configs", "scripts", "packages", "package-lists", "environment", "layer-dependencies", "owners"]
    )
    func links(part: String) throws {
        try scratch.write("a/scripts/x", "#!/bin/sh\n")
        try scratch.folder("elsewhere")
        try scratch.write("file", "A=1\n")
        if part == "scripts" { try scratch.remove("a/scripts") }
        try scratch.link("a/\(part)", to: part.contains("env") || part.contains("-d") ? "../file" : "../elsewhere")
        #expect(failure(.badLayer) { _ = try read() }.contains("/a/\(part): not a"))
    }

    @Test("a folder with none of a layer's parts is no layer")
    func notALayer() throws {
        try scratch.write("a/README.md", "x")
        #expect(failure(.badLayer) { _ = try read() }.contains("/a: no layer"))
    }
}
