// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ImageBuilder
import Layers
import Testing

@Suite("How two guests differ")
struct ContentDifferenceTests {
    private func content(
        packages: [(String, String, String)] = [],
        environment: String? = nil,
        _ entries: [String: GuestContent.Entry] = [:]
    ) -> GuestContent {
        GuestContent(
            product: "Debian",
            packages: packages.map { .init(name: $0.0, version: $0.1, architecture: $0.2) },
            environment: environment,
            entries: entries
        )
    }

    private func file(
        _ content: String = "00",
        type: String = "f",
        mode: UInt16 = 0o644,
        user: UInt32 = 0,
        group: UInt32 = 0,
        attributes: [String: String]? = nil
    ) -> GuestContent.Entry {
        .init(type: type, mode: mode, user: user, group: group, content: content, attributes: attributes)
    }

    @Test("no difference is none")
    func same() {
        let one = content(packages: [("a", "1", "all")], environment: "A=1\n", ["etc/x": file()])
        #expect(ContentDifference(one, one).isEmpty)
        #expect(ContentDifference(content(["x": file()]), content(["x": file(attributes: [:])])).isEmpty)
    }

    @Test("packages come, go and change their version, and architectures are told apart")
    func packages() {
        let before = content(packages: [("a", "1", "all"), ("b", "1", "amd64"), ("c", "1", "amd64")])
        let after = content(packages: [("a", "2", "all"), ("c", "1", "amd64"), ("d", "1", "amd64")])
        let changes = ContentDifference(before, after).packages
        #expect(
            changes == [
                .init(name: "a", before: "1", after: "2"), .init(name: "b", before: "1", after: nil),
                .init(name: "d", before: nil, after: "1"),
            ]
        )
        let both = content(packages: [("c", "1", "amd64"), ("c", "1", "i386")])
        let one = content(packages: [("c", "1", "amd64"), ("c", "2", "i386")])
        #expect(ContentDifference(both, one).packages == [.init(name: "c:i386", before: "1", after: "2")])
    }

    @Test("variables are compared by name, comments do not count")
    func environment() {
        let difference = ContentDifference(
            content(environment: "# A=0\nA=1\nB=x=y\n"),
            content(environment: "A=2\n  B=x=y\n# nothing\nC=\n")
        )
        #expect(
            difference.environment == [
                .init(name: "A", before: "1", after: "2"), .init(name: "C", before: nil, after: ""),
            ]
        )
        #expect(ContentDifference(content(), content(environment: "A=1")).environment.count == 1)
    }

    @Test("of a file it is said what changed")
    func files() {
        let before = content([
            "a": file(), "b": file(), "c": file(), "d": file(), "e": file("x", type: "l"), "f": file(), "gone": file(),
            "same": file(),
        ])
        let after = content([
            "a": file("11"), "b": file(mode: 0o4755), "c": file(user: 1), "d": file("", type: "d", mode: 0o755),
            "e": file("y", type: "l"), "f": file("22", group: 5, attributes: ["security.capability": "01"]),
            "new": file(), "same": file(),
        ])
        let difference = ContentDifference(before, after)
        #expect(
            difference.files.map { "\($0.path) \($0.changes.joined(separator: " "))" } == [
                "/a content", "/b mode", "/c owner", "/d type", "/e link", "/f content owner attributes",
                "/gone removed", "/new added",
            ]
        )
    }
}
