// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs

/// Debian packages that were downloaded, kept in the cache by the names of their files.
struct DebianArchive: Sendable {
    let cache: Cache

    private func path(_ package: LockedPackage) -> String { "\(cache.debs)/\(package.file)" }

    /// Those that are not here, or whose content is another one.
    func missing(of packages: [LockedPackage]) async throws -> [LockedPackage] {
        let digest = FileDigest(cache: cache)
        var missing: [LockedPackage] = []
        for package in packages {
            let path = path(package)
            guard FileManager.default.fileExists(atPath: path) else {
                missing.append(package)
                continue
            }
            if try await digest.sha256(of: path) != package.sha256 { missing.append(package) }
        }
        return missing
    }

    /// Takes in what was downloaded.
    ///
    /// - Throws: `digest-mismatch`: the lock's word is stronger than that of a package source.
    func take(_ packages: [LockedPackage], from folder: String) async throws {
        for package in packages {
            let arrived = "\(folder)/\(package.file)"
            let found = try await FileDigest(cache: cache).sha256(of: arrived, isPassing: true)
            guard found == package.sha256 else {
                throw FlashlayerError(
                    .digestMismatch,
                    "\(package.file) has the SHA-256 \(found), not \(package.sha256)",
                    advice:
                        "its source gives other content under the same version; look into it before you run flashlayer update"
                )
            }
            guard unsafe rename(arrived, path(package)) == 0 else {
                throw FlashlayerError.system("keep \(package.file) in \(cache.debs)", .current, code: .cannotCreate)
            }
        }
    }

    /// Makes a folder a package source of the simplest kind: `deb [trusted=yes] file:FOLDER ./`. What is in it was
    /// checked by its digests; nothing else can be chosen from it.
    func makeRepository(of packages: [LockedPackage], at folder: String) async throws {
        try Cache.makeFolder(folder)
        for package in packages {
            let copy = "\(folder)/\(package.file)"
            guard unsafe link(path(package), copy) == 0 || symlink(path(package), copy) == 0 else {
                throw FlashlayerError.system("put \(package.file) into \(folder)", .current, code: .cannotCreate)
            }
        }
        var index = ""
        if !packages.isEmpty {
            index = try await Program(at: "/bin/sh").run(
                ["-euc", Self.listing, "sh"] + packages.flatMap { [$0.file, $0.sha256] },
                workingDirectory: folder,
                failure: .packagesFailed
            )
        }
        try HostFile.write(index, to: "\(folder)/Packages")
    }

    /// The stanza of each file, with what apt wants to know before it takes it; see deb-control(5).
    private static let listing = """
        while [ $# -gt 0 ]; do
            dpkg-deb --field "$1"
            printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "$1" "$(stat --dereference --format %s "$1")" "$2"
            shift 2
        done
        """
}
