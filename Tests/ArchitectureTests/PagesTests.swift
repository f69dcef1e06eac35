// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import TestSupport
import Testing

@Suite("Pages")
struct PagesTests {
    private static func pages() throws -> [String] {
        try ["README.md", "CONTRIBUTING.md"] + Checkout.files(["docs", "examples"], suffixes: [".md"])
    }

    /// The targets of `[text](target)` that are files here, without what follows a `#`.
    private static func links(in text: String) -> [String] {
        text.split(separator: "](").dropFirst().compactMap { rest in
            let target = rest.prefix { $0 != ")" }
            return target.contains("://") || target.hasPrefix("#") ? nil : String(target.prefix { $0 != "#" })
        }
    }

    @Test("every link to a file leads to one")
    func linksLeadSomewhere() throws {
        var count = 0
        for page in try Self.pages() {
            let folder = page.split(separator: "/").dropLast().map { "\($0)/" }.joined()
            for link in Self.links(in: try Checkout.text(page)) {
                count += 1
                #expect(Checkout.exists(folder + link), "\(page) links to \(link)")
            }
        }
        #expect(count > 15, "they are found at all")
    }

    @Test("every path that a page names in the source tree is there")
    func pathsExist() throws {
        for page in try Self.pages() {
            for word in try Checkout.text(page).split(separator: "`") {
                let roots = ["Sources/", "Tests/", "examples/", "docs/", "Benchmarks/", ".ci/"]
                guard roots.contains(where: { word.hasPrefix($0) }), !word.contains(where: { " <.\n".contains($0) })
                else { continue }
                #expect(Checkout.exists(String(word)), "\(page) names \(word)")
            }
        }
    }

    @Test("the README links every room, and tells of no room that is not there")
    func rooms() async throws {
        let readme = try Checkout.text("README.md")
        let rooms = try await Manifest.current.value.shipped.filter { $0.isSwift && $0.type != "executable" }
        for room in rooms { #expect(readme.contains("[`\(room.name)`](Sources/\(room.name))"), "\(room.name)") }
    }

    @Test("every 'make' command that a page shows is a target of the Makefile")
    func makeTargets() throws {
        let targets = Set(
            try Checkout.lines("Makefile").compactMap { line in
                line.first?.isLetter == true ? line.split(separator: ":").first.map(String.init) : nil
            }
        )
        #expect(targets.contains("demo"))
        for page in try Self.pages() {
            for line in try Checkout.lines(page) {
                // As code only: at the start of a block, or behind a backquote.
                for call in line.split(separator: "`") {
                    let words = call.split(separator: " ").drop { $0 == "sudo" || $0 == "$" }
                    guard words.first == "make", let target = words.dropFirst().first,
                        call.count < 70 || line.hasPrefix("    ")
                    else { continue }
                    #expect(targets.contains(String(target)), "\(page): \(line)")
                }
            }
        }
    }
}
