// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// A project of random content on disk: mostly what layers are made of, and much that tries to break what reads it.
///
/// Tests run as root, and links are among what is made: none leads to a file of this machine. They lead to a folder of the
/// test's own, and whoever follows one where it must not, this generator included, is found out there.
package struct RandomProject {
    private let root: String
    private let outside: String
    private var random: SplitMix
    /// How often what does harm is chosen, in percent of how often it could be: what is wrong everywhere tests little.
    private var wildness = 0

    /// - Parameter folder: is there; `project` and `outside` are made in it.
    package init(in folder: String, seed: UInt64) {
        root = "\(folder)/project"
        outside = "\(folder)/outside"
        random = SplitMix(seed: seed)
        wildness = pick([0, 5, 20, 100])
        unsafe mkdir(root, 0o755)
        unsafe mkdir(outside, 0o755)
        let file = unsafe creat("\(outside)/file", 0o644)
        _ = unsafe Glibc.write(file, Self.secret, Self.secret.utf8.count)
        close(file)
    }

    /// The folder of the project.
    package var path: String { root }

    private static let secret = "not for the guest\n"

    /// Whether nothing was made, changed or taken away where the links lead.
    package var isOutsideUntouched: Bool {
        guard let stream = unsafe opendir(outside) else { return false }
        defer { unsafe closedir(stream) }
        var count = 0
        while unsafe readdir(stream) != nil { count += 1 }
        var status = stat()
        let file = "\(outside)/file"
        guard unsafe lstat(file, &status) == 0, status.st_mode == S_IFREG | 0o644, status.st_nlink == 1 else {
            return false
        }
        let descriptor = unsafe open(file, O_RDONLY | O_NOFOLLOW)
        defer { close(descriptor) }
        var content = [UInt8](repeating: 0, count: 100)
        let read = unsafe content.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, 100) }
        // The file, "." and "..".
        return count == 3 && Array(content.prefix(max(0, read))) == Array(Self.secret.utf8)
    }

    /// A recipe, layers, and things beside them.
    package mutating func write() {
        let names = ["a", "b", "c"]
        makeFolder("layers")
        for name in names where !harm(30) { layer("layers/\(name)", above: names.filter { $0 > name }) }
        file("flashlayer.toml", recipe(names))
    }

    /// Layers that have nothing but files.
    ///
    /// - Returns: their folders.
    package mutating func writeOverlays() -> [String] {
        wildness = 0
        return (0..<number(1...3)).map { index in
            let folder = "layer\(index)"
            makeFolder(folder)
            makeFolder("\(folder)/configs")
            tree("\(folder)/configs")
            return "\(root)/\(folder)"
        }
    }

    // MARK: - Choices

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    private mutating func harm(_ percent: Int) -> Bool { chance(percent * wildness / 100) }
    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    private mutating func pick<Element>(_ items: [Element]) -> Element {
        items[Int.random(in: 0..<items.count, using: &random)]
    }

    private mutating func bytes(_ count: Int, without: Set<UInt8> = []) -> [UInt8] {
        (0..<count).map { _ in
            let byte = UInt8.random(in: 0...255, using: &random)
            return without.contains(byte) ? UInt8(ascii: "x") : byte
        }
    }

    private mutating func name() -> [UInt8] {
        if chance(70) { return Array(pick(Self.names).utf8) }
        let name = bytes(chance(5) ? 255 : number(1...12), without: [0, UInt8(ascii: "/")])
        return name == Array(".".utf8) || name == Array("..".utf8) ? [0xFF] : name
    }

    private static let names = [
        "etc", "apt", "bin", "usr", "motd", "-rf", "--", "..x", "...", " ", "\n", "a\nb", "x\\", "\\x41", "'", "$(id)",
        "environment", "e\u{301}", "\u{E9}", "*", "~", "resolv.conf", "machine-id", "pip.conf", "x", "y", "z",
    ]
    private var targets: [String] {
        let upwards = String(repeating: "../", count: 4) + "outside"
        return [outside, "\(outside)/file", upwards, "\(upwards)/file", "..", ".", "x", "y", "", "usr/bin", "\n"]
    }

    // MARK: - Files

    private func makeFolder(_ path: String) {
        let path = Array("\(root)/\(path)".utf8)
        if isInside(path) { unsafe mkdir(Self.string(path), 0o755) }
    }

    /// Whether what is made at a path is made in the project: a folder on the way may be a link to anywhere, this machine's
    /// own files included, and the links are there for the readers that are tested to fall for, not for the generator.
    private func isInside(_ path: [UInt8]) -> Bool {
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return false }
        func resolved(_ path: [UInt8]) -> [UInt8]? {
            guard let text = unsafe realpath(Self.string(path), nil) else { return nil }
            defer { unsafe free(text) }
            return unsafe Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
        }
        guard let folder = resolved(Array(path[..<slash])), let top = resolved(Array(root.utf8)) else { return false }
        return folder == top || folder.starts(with: top + [UInt8(ascii: "/")])
    }

    private func file(_ path: String, _ content: [UInt8], mode: mode_t = 0o644) {
        write(Array("\(root)/\(path)".utf8), content, mode: mode)
    }

    /// - Parameter hole: bytes that follow the content and are not stored.
    private func write(_ path: [UInt8], _ content: [UInt8], mode: mode_t, hole: Int = 0) {
        guard isInside(path) else { return }
        let descriptor = unsafe open(Self.string(path), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { return }
        _ = unsafe content.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if hole > 0 { ftruncate(descriptor, off_t(content.count + hole)) }
        fchmod(descriptor, mode)
        close(descriptor)
    }

    private static func string(_ path: [UInt8]) -> [CChar] { path.map { CChar(bitPattern: $0) } + [0] }

    private mutating func tree(_ folder: String) {
        var folders = [Array("\(root)/\(folder)".utf8)]
        var files: [[UInt8]] = []
        for _ in 0..<number(0...14) {
            let path = pick(folders) + [UInt8(ascii: "/")] + name()
            guard path.count < 1000, isInside(path) else { continue }
            switch harm(10) ? 17 : number(0...16) {
            case 0...5:
                if unsafe mkdir(Self.string(path), mode_t(pick([0o755, 0o777, 0o1777, 0o700]))) == 0 {
                    folders.append(path)
                }
            case 6...10:
                write(path, content(), mode: mode_t(pick([0o644, 0o600, 0o666, 0o4755, 0o2777, 0o755])))
                files.append(path)
            case 11...14:
                let target = chance(80) ? Array(pick(targets).utf8) : bytes(number(1...150), without: [0])
                _ = unsafe symlink(Self.string(target), Self.string(path))
            case 15:
                if !files.isEmpty { _ = unsafe link(Self.string(pick(files)), Self.string(path)) }
            case 16:
                write(path, [], mode: 0o644, hole: number(1...3_000_000))
            default:
                _ = unsafe mkfifo(Self.string(path), 0o644)
            }
        }
    }

    private mutating func content() -> [UInt8] {
        switch number(0...9) {
        case 0: []
        case 1: bytes(number(1...2000))
        case 2: [UInt8](repeating: UInt8(ascii: "x"), count: number(1...70_000))
        case 3: Array("-----BEGIN PRIVATE KEY-----\n".utf8)
        default: Array("text\n".utf8)
        }
    }

    // MARK: - Layers

    /// What may be read, with what may stand in it.
    private static let lists: [(name: String, words: [String])] = [
        ("packages/debs.txt", ["vim", "curl=7.88*", "-nano", "libc6:amd64", "a2ps g++", "jq # why"]),
        ("packages/rpms.txt", ["vim", "curl-7*", "@group", "/usr/bin/vim", "-nano"]),
        ("packages/python.txt", ["flask>=2", "x ; python_version < '3'", "--pre", "y==1 \\\n  --hash=sha256:00"]),
        ("package-lists/dep-requirements.txt", ["vim", "tmux"]), ("packages/deb.txt", ["anything at all"]),
        ("environment", ["A=1", "A=\"x y\" # z", "export B==", "PATH="]), ("envionrment", ["C=3"]),
        ("enviroment", ["anything"]), ("owners", [""]),
    ]

    private mutating func layer(_ folder: String, above: [String]) {
        makeFolder(folder)
        for part in ["configs", "scripts", "packages", "package-lists"] where chance(80) {
            if harm(4) {
                _ = unsafe symlink(pick([outside, "..", "configs"]), "\(root)/\(folder)/\(part)")
            } else if harm(3) {
                file("\(folder)/\(part)", content())
            } else {
                makeFolder("\(folder)/\(part)")
            }
        }
        if chance(90) { tree("\(folder)/configs") }
        if harm(20) { tree("\(folder)/scripts") }
        for _ in 0..<number(0...2) {
            let bad = ["#!/bin/sh\r\n", "echo", "#!", ""]
            let text = harm(30) ? pick(bad) : pick(["#!/bin/sh\n", "#! /usr/bin/python3 -E\n"])
            file("\(folder)/scripts/\(number(0...99))", Array(text.utf8), mode: mode_t(pick([0o755, 0o644])))
        }
        if chance(50), let other = above.first { file("\(folder)/layer-dependencies", lines([other, "", "# x"])) }
        for _ in 0..<number(0...5) {
            let (name, words) = pick(Self.lists)
            let path = "\(folder)/\(harm(10) ? "layer-dependencies" : name)"
            guard isInside(Array("\(root)/\(path)".utf8)) else { continue }
            if harm(3) {
                _ = unsafe symlink("\(outside)/file", "\(root)/\(path)")
            } else if harm(2) {
                _ = unsafe mkfifo("\(root)/\(path)", 0o644)
            } else if harm(5) {
                file(path, bytes(number(0...300)))
            } else if harm(3) {
                file(path, [UInt8](repeating: UInt8(ascii: "a"), count: number(1...300_000)))
            } else {
                file(path, lines(words + ["", "# comment"]))
            }
        }
    }

    private static let words = [
        "vim", "curl=7.88*", "-nano", "libc6:amd64", "@group", "/usr/bin/vim", "flask>=2", "-r other", "-e .",
        "../x.whl",
        "x @ file:///etc/passwd", "--index-url https://h/s", "--pre", "A=1", "A=\"x y\" # z", "export B==", "PATH=",
        "K",
        "=", "a", "b", "c", "..", "../a", "/etc", "missing", "etc/motd root:root 0640", "x 0:0 7777", "/ 0:0",
        ". 0:0 0644",
        ".. 0:0", "../../etc/passwd 0:0 0777", "etc root:", "\\xff 1:1", "#", "# x", "\\", "x \\", "$(id)", "--", "-",
        ";",
        "\u{FEFF}", "y==1 \\\n  --hash=sha256:00",
    ]

    private mutating func lines(_ words: [String]) -> [UInt8] {
        var text: [UInt8] = chance(5) ? [0xEF, 0xBB, 0xBF] : []
        for _ in 0..<number(0...6) {
            text += Array((harm(15) ? pick(Self.words) : pick(words)).utf8)
            text += Array((harm(10) ? pick([" ", "\t", "", "\r", "\u{0}"]) : pick(["\n", "\r\n", " \n"])).utf8)
        }
        return text
    }

    // MARK: - The recipe

    private var tomlLines: [String] {
        [
            "[image]", "[base]", "[packages]", "[[layer]]", "[layers]", "[variant.v]", "size = \"2G\"", "size = -1",
            "grow = 1",
            "hostname = \"../x\"", "firmware = [\"bios\", 3]", "name = \"../../x\"", "name = 'y'",
            "path = \"\(outside)\"",
            "path = \"../../..\"", "path = \"layers/a\"", "type = \"local\"", "type = \"git\"", "url = \"-x\"",
            "image = \"\(outside)/file\"", "sha256 = \"0\"", "x = {", "]", "\"", "= 1", "locale = \"a b\"",
            "version = \"\"",
            "timezone = \"../../etc/passwd\"", "kernel-arguments = [\"a\\nb\"]", "recommends = \"\"", "\u{0}",
            "a.b.c = 1",
        ]
    }

    private mutating func recipe(_ layers: [String]) -> [UInt8] {
        if harm(3) { return bytes(number(0...500)) }
        var text = harm(3) ? "" : "name = \"x\"\n"
        for layer in layers where chance(80) {
            text +=
                "[[layer]]\ntype = \"local\"\n"
                + (chance(80) ? "path = \"layers/\(layer)\"\n" : "name = \"\(layer)\"\n")
        }
        if harm(40) { for _ in 0..<number(1...4) { text += pick(tomlLines) + "\n" } }
        return Array(text.utf8)
    }
}
