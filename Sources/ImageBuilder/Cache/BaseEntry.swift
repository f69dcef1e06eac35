// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Resolution

/// A base in the cache: `disk.qcow2`, what was found on it, and what its package manager knows. With these at hand, a
/// build that starts from it needs no launch to find out what to fetch.
struct BaseEntry: Sendable {
    let path: String
    let facts: GuestFacts
    /// Names this very disk: one that is made again with the same key is another one.
    let stamp: String
    /// When the disk was complete, in seconds since 1970.
    let time: Int
    /// The packages of a bootstrap; nil for an image that was given.
    let packages: [LockedPackage]?
    /// What was asked for, to say later what changed.
    let ingredients: [Ingredient]
    /// See `identity(of:)`.
    let packagesIdentity: String
    private let use: EntryUse

    var disk: String { "\(path)/disk.qcow2" }
    /// A tar archive; see `PackageState`.
    var packageState: String { "\(path)/packages.tar" }

    /// - Returns: nil when the cache has no such entry.
    init?(at path: String) {
        guard
            let data = FileManager.default.contents(atPath: "\(path)/facts.json"),
            let facts = try? JSONDecoder().decode(GuestFacts.self, from: data),
            let data = FileManager.default.contents(atPath: "\(path)/origin.json"),
            let origin = try? JSONDecoder().decode(Origin.self, from: data),
            let identity = try? Self.identity(of: origin.packages ?? []),
            FileManager.default.fileExists(atPath: "\(path)/disk.qcow2"),
            FileManager.default.fileExists(atPath: "\(path)/packages.tar"),
            let use = EntryUse(of: path)
        else { return nil }
        self.path = path
        self.facts = facts
        stamp = origin.stamp
        time = origin.time
        packages = origin.packages
        ingredients = origin.ingredients
        packagesIdentity = identity
        self.use = use
    }

    private struct Origin: Codable {
        let stamp: String
        let time: Int
        let packages: [LockedPackage]?
        let ingredients: [Ingredient]
    }

    /// Names what is installed, whichever machine made the disk.
    func identity(of base: Base) -> String {
        switch base {
        case .image(let path, let sha256): sha256 ?? path
        case .bootstrap: packagesIdentity
        }
    }

    /// What the lock says of it; nil for an image that was given.
    var selection: BuildLock.Selection? {
        packages.map { BuildLock.Selection(request: ingredients, packages: $0) }
    }

    static func identity(of packages: [LockedPackage]) throws -> String {
        let lines = packages.map { "\($0.name) \($0.version) \($0.architecture) \($0.sha256)\n" }.sorted()
        return try SHA256.digest(of: lines.joined()).hex
    }

    /// Puts what is known of a base beside its disk.
    static func write(_ facts: GuestFacts, packages: [LockedPackage]?, ingredients: [Ingredient], to path: String)
        throws
    {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try HostFile.write(try encoder.encode(facts), to: "\(path)/facts.json")
        let origin = Origin(
            stamp: UUID().uuidString,
            time: Glibc.time(nil),
            packages: packages,
            ingredients: ingredients
        )
        try HostFile.write(try encoder.encode(origin), to: "\(path)/origin.json")
    }
}

extension PackageFetch.Request {
    /// For a plan upon a base.
    init(_ plan: Plan, _ base: BaseEntry) {
        self.init(
            plan: plan,
            names: BuildStages.debianPackages(of: plan, for: base.facts),
            guest: base.facts,
            state: base.packageState,
            baseIdentity: base.identity(of: plan.base)
        )
    }
}

/// What the guest's package manager knows, brought here so that packages can be fetched for it.
enum PackageState {
    /// Steps that leave `packages.tar` in a folder of this machine.
    static func keep(in folder: String) -> [GuestStep] {
        let shell = """
            cd /
            set --
            for path in etc/apt usr/share/keyrings var/lib/dpkg/status var/lib/dpkg/arch var/lib/apt/extended_states
            do
                if [ -e $path ]; then set -- "$@" $path; fi
            done
            # The links are followed: what they lead to would be missing here.
            if [ $# -gt 0 ]; then tar -chf \(archive) "$@"; else tar -cf \(archive) --files-from /dev/null; fi
            """
        return [
            .run(GuestCommand(shell: shell, source: "packages", title: "reading the state of the guest's packages")),
            .download(archive, hostPath: "\(folder)/packages.tar"),
        ]
    }

    private static let archive = "\(GuestFolder.scratch)/packages.tar"
}
