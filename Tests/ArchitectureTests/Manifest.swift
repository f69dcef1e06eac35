// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs
import TestSupport

/// Package.swift, as SwiftPM understands it.
struct Manifest: Decodable {
    struct Target: Decodable {
        let name: String
        let type: String
        let path: String?
        let settings: [Setting]
        private let dependencies: [[String: [JSONValue]]]

        /// Names of targets and products alike.
        var dependencyNames: [String] { dependencies.flatMap(\.values).compactMap { $0.first?.text } }
        var isTest: Bool { type == "test" || name == "TestSupport" }
        var isSwift: Bool { type != "system" }
        /// From the root of the package.
        var folder: String { path ?? (type == "test" ? "Tests/\(name)" : "Sources/\(name)") }
    }

    struct Setting: Decodable {
        let tool: String
        let kind: JSONValue
    }

    /// In the order in which the manifest has them.
    let targets: [Target]

    /// What ships: neither tests nor what only they use.
    var shipped: [Target] { targets.filter { !$0.isTest } }

    /// Everything that a target pulls in, near and far.
    func reach(of name: String) -> Set<String> {
        var found: Set<String> = []
        var ahead = [name]
        while let next = ahead.popLast() {
            for name in targets.first(where: { $0.name == next })?.dependencyNames ?? []
            where found.insert(name).inserted {
                ahead.append(name)
            }
        }
        return found
    }

    /// Which of the shipped targets name it as a dependency.
    func dependents(of name: String) -> [String] {
        shipped.filter { $0.dependencyNames.contains(name) }.map(\.name)
    }

    static let current = Task { try await load() }

    /// `dump-package` reads the manifest alone: no network, and with a scratch folder of its own no waiting for the
    /// `swift test` that runs us.
    private static func load() async throws -> Manifest {
        let scratch = try TemporaryFolder()
        let json = try await swift().run([
            "package", "--package-path", Checkout.root, "--scratch-path", scratch.path, "dump-package",
        ])
        return try JSONDecoder().decode(Manifest.self, from: Data(json.utf8))
    }

    /// sudo's PATH may lack the toolchain; but one of the programs that started us lies in it.
    private static func swift() throws -> Program {
        var process = getppid()
        while process > 1 {
            let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/exe")) ?? ""
            let sibling = path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/swift"
            if path.contains("swift"), Program.isExecutable(sibling) { return Program(at: sibling) }
            let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
            let parent = status.split(separator: "\n").first { $0.hasPrefix("PPid:") }
            process = parent.flatMap { Int32($0.split(separator: "\t").last ?? "") } ?? 0
        }
        return try Program("swift", debianPackage: "swift, from https://swift.org/install")
    }
}
