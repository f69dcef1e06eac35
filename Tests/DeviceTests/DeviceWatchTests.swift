// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

@Suite(
    "Watching the devices",
    .enabled(if: LoopDevice.isAvailable, Comment(rawValue: LoopDevice.requirement))
)
struct DeviceWatchTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// The kinds of lines about one disk so far.
    private func events(of path: String) throws -> [String] {
        let text = (try? String(contentsOfFile: folder.file("lines"), encoding: .utf8)) ?? ""
        // The last one may be half written.
        let whole = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        return try whole.compactMap { line in
            let object = try JSONDecoder().decode([String: JSONValue].self, from: Data(line.utf8))
            return object["disk"]?["path"]?.text == path ? object["event"]?.text : nil
        }
    }

    private func wait(for isThere: () throws -> Bool) async throws {
        while try !isThere() { try await Task.sleep(for: .milliseconds(20)) }
    }

    @Test("a disk that comes and goes is told once each, and Ctrl-C is the end", .timeLimit(.minutes(30)))
    func comesAndGoes() async throws {
        let script = #"""
            "$flashlayer" devices --watch --json > "$1/lines" & pid=$!
            until [ -e "$1/done" ]; do sleep 0.05; kill -0 $pid || break; done
            kill -INT $pid
            wait $pid
            """#
        async let running = FlashlayerProgram.script(script, arguments: [folder.path])
        let first = try LoopDevice(size: 1 << 20)
        defer { first.close() }
        try await wait { try events(of: first.path).first == "add" }
        let loop = try LoopDevice(size: 2 << 20)
        try await wait { try events(of: loop.path).first == "add" }
        loop.close()
        try await wait { try events(of: loop.path).last == "remove" }
        try folder.write("", to: "done")
        let outcome = try await running
        #expect(outcome.status == 130, "\(outcome.errors)")
        // One that is looked at while it is being taken away cannot be read any more, which is a change.
        let told = try [loop, first].map { try events(of: $0.path).filter { $0 != "change" } }
        #expect(told == [["add", "remove"], ["add"]])
    }

    @Test("it ends when nobody reads it any more", .timeLimit(.minutes(30)))
    func closed() async throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.script(
            #"set -o pipefail; "$flashlayer" devices --watch --json | head -n 1 | wc -l"#
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("1"))
    }

    @Test("an answer that finds no room is a failure", arguments: ["devices --all", "devices --json", "--help"])
    func noRoom(arguments: String) async throws {
        let loop = try LoopDevice(size: 1 << 20)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.script(#""$flashlayer" \#(arguments) > /dev/full"#)
        #expect(outcome.status == 73, "\(outcome.errors)")
        #expect(outcome.errors.contains("standard output"), "\(outcome.errors)")
    }
}
