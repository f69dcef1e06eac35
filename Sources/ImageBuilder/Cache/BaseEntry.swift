// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
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
    private let use: EntryUse

    var disk: String { "\(path)/disk.qcow2" }
    /// A tar archive; see `PackageState`.
    var packageState: String { "\(path)/packages.tar" }

    /// - Returns: nil when the cache has no such entry.
    init?(at path: String) {
        guard
            let data = FileManager.default.contents(atPath: "\(path)/facts.json"),
            let facts = try? JSONDecoder().decode(GuestFacts.self, from: data),
            let stamp = FileManager.default.contents(atPath: "\(path)/stamp"),
            FileManager.default.fileExists(atPath: "\(path)/disk.qcow2"),
            let use = EntryUse(of: path)
        else { return nil }
        self.path = path
        self.facts = facts
        self.stamp = String(decoding: stamp, as: UTF8.self)
        self.use = use
    }

    static func write(_ facts: GuestFacts, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try HostFile.write(try encoder.encode(facts), to: "\(path)/facts.json")
        try HostFile.write(UUID().uuidString, to: "\(path)/stamp")
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
