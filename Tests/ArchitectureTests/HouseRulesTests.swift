// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import TestSupport
import Testing

@Suite("Rules of the house")
struct HouseRulesTests {
    private static func swiftFiles() throws -> [String] {
        try Checkout.files(["Sources", "Tests"], suffixes: [".swift"]) + ["Package.swift"]
    }

    private static func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

    @Test("every source file says under which licence it stands, in its first lines")
    func licence() throws {
        let code = try Checkout.files(["Sources", "Tests"], suffixes: [".swift", ".h", ".c", ".modulemap"])
        let scripts =
            ["Makefile", ".ci/run", ".ci/install-dependencies", "examples/demo"]
            + (try Checkout.files(["Benchmarks", "udev-rules", "systemd"]))
        for file in code + scripts + ["Package.swift"] {
            let head = try Checkout.lines(file).prefix(4).map { $0.drop { "#/.\\\" ".contains($0) } }
            #expect(head.contains("SPDX-License-Identifier: Apache-2.0"), "\(file)")
            #expect(head.contains("Copyright the flashlayer authors"), "\(file)")
        }
    }

    @Test("no file has more than 500 lines: beyond that it is two ideas")
    func length() throws {
        for file in try Self.swiftFiles() {
            let count = try Checkout.lines(file).count - 1
            #expect(count <= 500, "\(file) has \(count)")
        }
    }

    @Test("no file is a drawer for everything")
    func drawers() throws {
        for file in try Self.swiftFiles() {
            for word in ["Util", "Helper", "Extra", "Extension", "Misc", "Common"] {
                #expect(!Self.name(file).contains(word), "\(file)")
            }
        }
    }

    @Test("every folder of Sources and Tests is a room of the manifest, and none stands empty")
    func rooms() async throws {
        let targets = try await Manifest.current.value.targets
        let folders = Set(
            try Checkout.files(["Sources", "Tests"]).map { $0.split(separator: "/").prefix(2).joined(separator: "/") }
        )
        #expect(folders == Set(targets.map(\.folder)))
        for target in targets where target.isSwift {
            let files = try Checkout.files([target.folder], suffixes: [".swift"])
            let hasCode = try files.contains { try SourceText.code(Checkout.lines($0)).contains { !$0.isEmpty } }
            #expect(hasCode, "\(target.name) is an empty promise")
        }
    }

    @Test("every shim says why it is there, and leaves _GNU_SOURCE alone")
    func shims() async throws {
        for target in try await Manifest.current.value.targets where target.type == "system" {
            let lines = try Checkout.lines("\(target.folder)/shim.h")
            let reason = lines.dropFirst(2).filter { $0.hasPrefix("// ") }.joined(separator: " ")
            #expect(reason.count > 40, "\(target.name)")
            // A shim that defines it changes what other modules see of the C library: a cold build then fails.
            #expect(!lines.contains { $0.hasPrefix("#define _GNU_SOURCE") }, "\(target.name)")
        }
    }

    @Test("a main is one file of at most 40 lines: commands are a library")
    func mains() async throws {
        for target in try await Manifest.current.value.targets where target.type == "executable" {
            let files = try Checkout.files([target.folder], suffixes: [".swift"])
            #expect(files.count == 1, "\(target.name)")
            for file in files { #expect(try Checkout.lines(file).count <= 41, "\(file)") }
        }
    }

    @Test("nothing that ships dies of bad input", arguments: ["try!", "fatalError(", "as! "])
    func noTraps(token: String) throws {
        for file in try Checkout.files(["Sources"], suffixes: [".swift"]) {
            for (number, line) in SourceText.code(try Checkout.lines(file)).enumerated() where line.contains(token) {
                Issue.record("\(file):\(number + 1) has \(token)")
            }
        }
    }

    @Test("libraries throw and return; only programs print and exit", arguments: ["print(", "exit("])
    func onlyProgramsSpeak(call: String) async throws {
        let programs: Set = ["FlashlayerCommands", "flashlayer", "flashlayer-builder", "flashlayerd"]
        for target in try await Manifest.current.value.shipped where target.isSwift && !programs.contains(target.name) {
            for file in try Checkout.files([target.folder], suffixes: [".swift"]) {
                for (number, line) in SourceText.code(try Checkout.lines(file)).enumerated() {
                    let words = line.split { !($0.isLetter || $0.isNumber || "_(".contains($0)) }
                    if words.contains(where: { $0.hasPrefix(call) }) {
                        Issue.record("\(file):\(number + 1) calls \(call))")
                    }
                }
            }
        }
    }
}
