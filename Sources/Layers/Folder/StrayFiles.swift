// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// What lies in a layer, is not read, and was probably meant to be.
struct StrayFiles {
    let files: LayerFiles
    let findings: Findings

    func look() {
        for name in names(in: "") { lookAt(name) }
        for folder in LayerSpellings.folders where kind(Pathname(folder)) == .directory {
            for name in names(in: Pathname(folder)) { lookAt(name, in: folder) }
        }
    }

    /// Without what is hidden, or no UTF-8.
    private func names(in folder: Pathname) -> [String] {
        guard kind(folder) == .directory else { return [] }
        return (findings.attempt { try files.names(in: folder) } ?? []).compactMap(\.string).filter {
            !$0.hasPrefix(".")
        }
    }

    private func kind(_ path: Pathname) -> LayerFiles.Kind? { (try? files.status(path))?.kind }

    // MARK: - Beside configs/

    private static let folders = [LayerSpellings.configs, LayerSpellings.scripts] + LayerSpellings.folders
    private static let singles = ["environment", "layer-dependencies", "owners"]
    /// Too far from what is meant to be found by their letters.
    private static let shortcuts = ["dependencies": "layer-dependencies", "env": "environment"]

    private func lookAt(_ name: String) {
        guard !Self.folders.contains(name), !LayerSpellings.files.contains(name) else { return }
        let meant: String? =
            switch kind(Pathname(name)) {
            case .directory: NearMiss.of(name, among: Self.folders).map { $0 + "/" }
            case .file: Self.near(name, among: Self.singles) ?? Self.near(name, among: Self.shortcuts.keys.sorted())
            default: nil
            }
        guard let meant else { return }
        report(name, meant: Self.shortcuts[meant] ?? meant)
    }

    private static func near(_ name: String, among known: [String]) -> String? { NearMiss.of(name, among: known) }

    // MARK: - Lists

    private static let lists: [String: [String]] = [
        "packages": ["debs.txt", "dpms.txt", "rpms.txt", "python.txt"],
        "package-lists": ["deb-requirements.txt", "rpm-requirements.txt", "pip-requirements.txt"],
    ]
    private static let managers = [
        ("packages/debs.txt", ["deb", "debian", "dpkg", "apt", "ubuntu"]),
        ("packages/rpms.txt", ["rpm", "dnf", "yum", "redhat", "fedora"]),
        ("packages/python.txt", ["pip", "pip3", "python3", "requirements", "py"]),
    ]

    private func lookAt(_ name: String, in folder: String) {
        let path = "\(folder)/\(name)"
        guard !LayerSpellings.files.contains(path), !name.hasSuffix("~"), !name.hasSuffix(".md"),
            !name.hasPrefix("README")
        else { return }
        let elsewhere = LayerSpellings.files.first { $0.hasSuffix("/\(name)") }
        let manager = Self.managers.first { $0.1.contains(Path.stem(of: name).lowercased()) }?.0
        let near = Self.lists[folder].flatMap { NearMiss.of(name, among: $0) }.map { "\(folder)/\($0)" }
        if let meant = elsewhere ?? manager ?? near {
            report(path, meant: meant)
        } else {
            let known = Self.lists[folder, default: []].joined(separator: ", ")
            findings.warn("\(files.root)/\(path)", "not read", hint: "\(folder)/ holds \(known)")
        }
    }

    private func report(_ path: String, meant: String) {
        findings.warn("\(files.root)/\(path)", "not read", hint: "did you mean \(meant)? Rename it")
    }
}
