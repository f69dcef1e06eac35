// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import TestSupport
import Testing

@Suite("The overlay")
struct OverlayTests {
    let scratch: TemporaryFolder

    init() throws {
        scratch = try TemporaryFolder()
    }

    private func overlay() throws -> [OverlayEntry] {
        try Layer(name: "a", path: scratch("a"), source: "local").overlay
    }

    @Test("where the guest has a link on the way, the later layer wins too: files are laid down layer by layer")
    func layingOrder() throws {
        let scratch = try TemporaryFolder()
        try scratch.write(
            "flashlayer.toml",
            "name = \"x\"\n" + ["a", "b"].map { "[[layer]]\ntype = \"local\"\npath = \"\($0)\"\n" }.joined()
        )
        for (layer, files) in [("a", ["usr/bin/tool", "z"]), ("b", ["bin/tool", "usr/bin/other"])] {
            for file in files { try scratch.write("\(layer)/configs/\(file)", layer) }
        }
        let plan = try scratch.plan()
        #expect(
            plan.layingOrder.map(\.path.text)
                == ["usr", "usr/bin", "usr/bin/tool", "z", "bin", "bin/tool", "usr/bin/other"]
        )
        #expect(plan.mergedOverlay.map(\.path.text).first == "bin")
        let before = try plan.phases()
        try scratch.write(
            "flashlayer.toml",
            "name = \"x\"\n" + ["b", "a"].map { "[[layer]]\ntype = \"local\"\npath = \"\($0)\"\n" }.joined()
        )
        // The other one wins, so the result is another one.
        #expect(try scratch.plan().phases()[2].key != before[2].key)
    }

    @Test("folders, files and links are taken as they are, each folder before what it holds")
    func kinds() throws {
        try scratch.write("a/configs/etc/motd", "hello\n")
        try scratch.write("a/configs/etc-x/f", "")
        try scratch.link("a/configs/etc/outside", to: "/etc/passwd")
        try scratch.link("a/configs/etc/loop", to: "../etc")
        try scratch.link("a/configs/etc/dangling", to: "nowhere")
        try scratch.folder("a/configs/srv/empty")
        let entries = try overlay()
        #expect(
            entries.map(\.path) == [
                "etc", "etc/dangling", "etc/loop", "etc/motd", "etc/outside", "etc-x", "etc-x/f", "srv", "srv/empty",
            ]
        )
        let kinds = entries.reduce(into: [:]) { $0[$1.path] = $1.kind }
        #expect(kinds["etc/motd"] == .file(size: 6, digest: try SHA256.digest(of: "hello\n")))
        #expect(kinds["etc/outside"] == .symlink(target: "/etc/passwd"))
        #expect(kinds["etc/loop"] == .symlink(target: "../etc"))
        #expect(kinds["srv/empty"] == .directory)
        #expect(entries.allSatisfy { $0.source == Pathname(scratch("a/configs/\($0.path)")) })
        #expect(entries.allSatisfy { $0.user == "0" && $0.group == "0" })
    }

    @Test(
        "modes are kept, less group and other write",
        arguments: [(0o644, 0o644), (0o666, 0o644), (0o777, 0o755), (0o600, 0o600), (0o4755, 0o4755), (0o2775, 0o2755)]
    )
    func modes(of file: mode_t, become mode: UInt16) throws {
        try scratch.write("a/configs/f", "x", mode: file)
        #expect(try overlay().first?.mode == mode)
    }

    @Test("a file larger than any buffer has the digest of all of it")
    func largeFile() throws {
        let bytes = (0..<(600 << 10)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try scratch.write("a/configs/f", bytes)
        let expected = OverlayEntry.Kind.file(size: UInt64(bytes.count), digest: try SHA256.digest(of: bytes))
        #expect(try overlay().first?.kind == expected)
    }

    @Test("a pipe is refused by name, and not waited for")
    func pipe() throws {
        try scratch.folder("a/configs/etc")
        try #require(unsafe mkfifo(scratch("a/configs/etc/p"), 0o600) == 0)
        #expect(failure(.badLayer) { _ = try overlay() }.contains("/a/configs/etc/p: a pipe"))
    }

    @Test("a device is refused by name", .enabled(if: geteuid() == 0, "mknod needs root"))
    func device() throws {
        try scratch.folder("a/configs/dev")
        // 1:3, as /dev/null has it.
        try #require(unsafe mknod(scratch("a/configs/dev/null"), S_IFCHR | 0o666, 0x103) == 0)
        #expect(failure(.badLayer) { _ = try overlay() }.contains("/a/configs/dev/null: a device"))
    }

    @Test("a name may have any bytes, and its text tells them all")
    func anyName() throws {
        try scratch.folder("a/configs")
        let names: [(name: Pathname, text: String)] = [
            ("-rf", "-rf"), (" ", " "), ("a\nb", "a\\x0ab"), ("a\\b", "a\\\\b"), ("ü", "ü"),
            ("\u{1B}[1m\u{7F}", "\\x1b[1m\\x7f"), ("\u{85}", "\\xc2\\x85"),
            (Pathname([0x61, 0xFF, 0xC3, 0xBC, 0xE2, 0x82]), "a\\xffü\\xe2\\x82"),
        ]
        for (name, text) in names {
            let path = Pathname(scratch("a/configs")).appending(name)
            try #require(unsafe path.withCString { unsafe close(creat($0, 0o644)) } == 0)
            #expect(name.text == text)
            #expect(Pathname(text: text) == name)
            #expect(name.description == text)
        }
        let entries = try overlay()
        #expect(entries.map(\.path) == names.map(\.name).sorted())
        #expect(try JSONDecoder().decode([OverlayEntry].self, from: JSONEncoder().encode(entries)) == entries)
        for text in ["\\", "\\y", "\\x", "\\x1", "\\xgg"] { #expect(Pathname(text: text) == nil) }
    }

    @Test("names of one file stay names of one file, as far as they are left")
    func hardLinks() throws {
        try scratch.write("a/configs/b/one", "x")
        for name in ["a", "c", "d"] {
            try #require(unsafe Glibc.link(scratch("a/configs/b/one"), scratch("a/configs/\(name)")) == 0)
        }
        try #require(unsafe Glibc.link(scratch("a/configs/a"), scratch("outside")) == 0)
        let links = { (entries: [OverlayEntry]) in
            entries.reduce(into: [Pathname: Pathname]()) { $0[$1.path] = $1.hardLink }
        }
        #expect(links(try overlay()) == ["b/one": "a", "c": "a", "d": "a"])
        try scratch.write("b/configs/a", "other")
        try scratch.write("b/configs/c", "other")
        #expect(links(try plan(["a", "b"]).mergedOverlay) == ["d": "b/one"])
        try scratch.write("a/owners", "c 1:2 0600\n")
        #expect(try overlay().filter { $0.kind != .directory }.allSatisfy { $0.mode == 0o600 && $0.group == "2" })
    }

    @Test("extended attributes that a person gave are taken, and an access list's mask is no chance")
    func attributes() throws {
        try scratch.write("a/configs/f", "x", mode: 0o664)
        let value: [UInt8] = [0, 255, 10, 61]
        try #require(unsafe setxattr(scratch("a/configs/f"), "user.note", value, value.count, 0) == 0)
        #expect(try overlay().first?.attributes == [.init(name: "user.note", value: value)])
        #expect(try overlay().first?.mode == 0o644)
        // Version 2; user::rw-, user:1:rwx, group::r--, mask::rwx, other::r--, as setfacl(1) writes it.
        let list: [UInt8] = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
            16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
        ]
        try #require(unsafe setxattr(scratch("a/configs/f"), "system.posix_acl_access", list, list.count, 0) == 0)
        #expect(try overlay().first?.attributes.map(\.name) == ["system.posix_acl_access", "user.note"])
        #expect(try overlay().first?.mode == 0o674)
    }

    @Test("owners gives user, group and mode to what it names")
    func owners() throws {
        try scratch.write("a/configs/etc/a b", "x")
        try scratch.write("a/configs/etc/secret", "x")
        try scratch.write("a/configs/tmp/x", "x")
        try scratch.write(
            "a/owners",
            "# exceptions\r\n/etc/secret root:kiosk 0640\r\netc/a b 1000:1000\r\ntmp/ 0:0 1777 # sticky\r\n"
        )
        let entries = try overlay().reduce(into: [:]) { $0[$1.path] = $1 }
        #expect(entries["etc/secret"]?.user == "root")
        #expect(entries["etc/secret"]?.group == "kiosk")
        #expect(entries["etc/secret"]?.mode == 0o640)
        #expect(entries["etc/a b"]?.user == "1000")
        #expect(entries["etc/a b"]?.mode == 0o644)
        #expect(entries["tmp"]?.mode == 0o1777)
        #expect(entries["tmp"]?.hasOwnersLine == true)
        #expect(entries["tmp/x"]?.hasOwnersLine == false)
    }

    @Test(
        "a line of owners that means nothing is told with its number",
        arguments: [
            "etc/motd", "etc/motd root", "etc/motd root:", "etc/motd root:root 999", "root:root 0644", "etc/motd a:b:c",
            "etc/missing root:root", "etc/link root:root 0644", "etc/motd root:root 07777777",
        ]
    )
    func badOwners(line: String) throws {
        try scratch.write("a/configs/etc/motd", "x")
        try scratch.link("a/configs/etc/link", to: "motd")
        try scratch.write("a/owners", "etc root:root\n\(line)\n")
        let message = failure(.badLayer) { _ = try overlay() }
        #expect(message.contains("/a/owners:2: "), "\(message)")
    }

    // MARK: Several layers

    private func plan(_ layers: [String]) throws -> Plan {
        try Plan(.folders(base: nil, layers: layers.map { scratch($0) }))
    }

    @Test("the later layer wins, and every override is listed in layer order")
    func overrides() throws {
        for layer in ["a", "b", "c"] { try scratch.write("\(layer)/configs/etc/motd", layer) }
        try scratch.write("b/configs/etc/only", "b")
        let plan = try plan(["a", "b", "c"])
        #expect(plan.mergedOverlay.map(\.path) == ["etc", "etc/motd", "etc/only"])
        #expect(plan.mergedOverlay.first { $0.path == "etc/motd" }?.source == Pathname(scratch("c/configs/etc/motd")))
        #expect(plan.overrides == [Override(path: "etc/motd", winner: "c", losers: ["a", "b"])])
    }

    @Test("a file in the place of a folder takes what was in it, and the other way round")
    func kindsChange() throws {
        try scratch.write("a/configs/x/deep/file", "a")
        try scratch.write("a/configs/y", "a")
        try scratch.write("b/configs/x", "b")
        try scratch.write("b/configs/y/file", "b")
        let plan = try plan(["a", "b"])
        #expect(plan.mergedOverlay.map(\.path) == ["x", "y", "y/file"])
        #expect(
            plan.overrides == [
                Override(path: "x", winner: "b", losers: ["a"]),
                Override(path: "x/deep/file", winner: "b", losers: ["a"]),
                Override(path: "y", winner: "b", losers: ["a"]),
            ]
        )
    }

    @Test("a link that a layer made survives a folder of a later one")
    func linkSurvives() throws {
        try scratch.link("a/configs/opt/app", to: "app-1")
        try scratch.write("b/configs/opt/app/file", "b")
        let plan = try plan(["a", "b"])
        #expect(plan.mergedOverlay.first { $0.path == "opt/app" }?.kind == .symlink(target: "app-1"))
        #expect(plan.mergedOverlay.contains { $0.path == "opt/app/file" })
    }

    @Test("names that only look the same are two files")
    func normalization() throws {
        try scratch.write("a/configs/\u{E9}", "composed")
        try scratch.write("b/configs/e\u{301}", "decomposed")
        let plan = try plan(["a", "b"])
        #expect(plan.mergedOverlay.count == 2)
        #expect(plan.overrides.isEmpty)
    }

    @Test("files of the package manager are early")
    func early() throws {
        try scratch.write("a/configs/etc/apt/sources.list.d/x.sources", "x")
        try scratch.write("a/configs/etc/aptitude", "x")
        try scratch.write("a/configs/etc/pip.conf", "x")
        try scratch.write("a/configs/usr/share/keyrings/x.gpg", "x")
        let expected = ["etc/apt/sources.list.d/x.sources", "etc/pip.conf", "usr/share/keyrings/x.gpg"]
        #expect(try plan(["a"]).earlyFiles.map(\.path.text) == expected)
    }
}
