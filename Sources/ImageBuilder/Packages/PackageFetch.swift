// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model
import Resolution

/// The Debian packages of a build: what their names stand for today, and later the drive that brings them to the guest.
struct PackageFetch: Sendable {
    private let root: AptRoot
    private let names: [String]
    private let recommends: Bool?
    private let downloads: [AptRoot.Download]

    /// - Returns: nil when there is nothing to install.
    /// - Throws: `packages-failed`.
    static func resolve(_ plan: Plan, for base: BaseEntry, cache: Cache, work: WorkFolder, log: BuildLog) async throws
        -> PackageFetch?
    {
        let names = BuildStages.debianPackages(of: plan, for: base.facts)
        guard !names.isEmpty else { return nil }
        let root = try await AptRoot(
            in: work,
            state: base.packageState,
            architecture: base.facts.architecture,
            early: plan.earlyFiles,
            cache: cache,
            log: log
        )
        let downloads = try await root.resolve(names, recommends: plan.recommends) { name in
            let layers = plan.layers.filter { $0.debianPackages.contains { $0.hasPackageName(name) } }.map(\.name)
            return layers.isEmpty ? "needed by the recipe" : "asked for by \(layers.joined(separator: ", "))"
        }
        return PackageFetch(root: root, names: names, recommends: plan.recommends, downloads: downloads)
    }

    /// The versions that were found.
    var ingredients: [Ingredient] {
        downloads.map { Ingredient("version of \($0.name)", "\($0.file) \($0.sha256 ?? "")") }
            .sorted { $0.name < $1.name }
    }

    func makeDrive(at path: String) async throws {
        try await root.download(downloads, for: names, recommends: recommends)
        try await root.makeDrive(downloads, at: path)
    }
}

extension String {
    /// Whether an entry of a list (`curl`, `curl=7.88*`, `curl/bookworm-backports`, `-curl`) is about this package.
    fileprivate func hasPackageName(_ name: String) -> Bool {
        let entry = hasPrefix("-") ? dropFirst() : self[...]
        return entry.prefix { $0 != "=" && $0 != "/" } == name
    }
}
