// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Programs
import TestSupport
import Testing

@testable import ImageBuilder

@Suite("The overlay's archive")
struct TarWriterTests {
    @Test("is read back by GNU tar: names, modes, owners, links and content")
    func readBack() async throws {
        let folder = try TemporaryFolder()
        let long = String(repeating: "long-name/", count: 20) + "file with spaces"
        let target = String(repeating: "../", count: 50) + "target"
        try write(to: folder.file("a.tar"), long: Pathname(long), target: Pathname(target))
        let tar = try Program("tar", debianPackage: "tar")
        let listing = try await tar.run([
            "--list", "--verbose", "--numeric-owner", "--full-time", "--utc", "--file", folder.file("a.tar"),
        ])
        let lines = listing.split(separator: "\n").map { line in
            line.split(separator: " ", omittingEmptySubsequences: true).map(String.init).joined(separator: " ")
        }
        #expect(
            lines == [
                "drwxr-xr-x 0/0 0 2001-09-09 01:46:40 etc/",
                "-rwsr-x--- 3000000/100 700 2001-09-09 01:46:40 \(long)",
                "lrwxrwxrwx 0/0 0 2001-09-09 01:46:40 bin -> \(target)",
                "-rw-r--r-- 0/0 0 2001-09-09 01:46:40 empty",
            ]
        )
        let content = try await tar.run(["--extract", "--to-stdout", "--file", folder.file("a.tar"), long])
        #expect(content == String(repeating: "x", count: 700))
    }

    private func write(to path: String, long: Pathname, target: Pathname) throws {
        let time = 1_000_000_000
        var archive = try TarWriter(path: path)
        try archive.add(TarMember(name: "etc", kind: .directory, mode: 0o755, modified: time))
        try archive.add(
            // More than the seven octal digits of a header hold.
            TarMember(name: long, kind: .file(size: 700), mode: 0o4750, user: 3_000_000, group: 100, modified: time)
        )
        try archive.write([UInt8](repeating: UInt8(ascii: "x"), count: 700))
        try archive.pad(700)
        try archive.add(TarMember(name: "bin", kind: .symlink(target: target), mode: 0o777, modified: time))
        try archive.add(TarMember(name: "empty", kind: .file(size: 0), mode: 0o644, modified: time))
        try archive.finish()
    }
}
