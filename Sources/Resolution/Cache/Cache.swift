// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import FoundationEssentials
import Glibc
import Model

/// Where results of phases, downloads and unfinished work are kept.
///
///     base/KEY/         a base: its disk, what is known of it, what its package manager knows
///     checkpoints/KEY/  what a part of a build made of a base: the disk's difference, and what it is of
///     debs/             packages that were downloaded
///     downloads/        what package managers of guests downloaded, by the kind of guest
///     images/           base images that were downloaded, by their digests
///     git/              repositories of layers, and the folders of their commits
///     digests/          digests of large files of this machine, as long as those stay what they are
///     locks/            locks of builds that have no recipe
///     work/NAME/        what a build that runs is making; nothing there is ever trusted by another
package struct Cache: Sendable {
    /// What is worth listing and pruning.
    package enum Kind: String, Sendable, CaseIterable {
        case base, checkpoints, debs, downloads, images, git
    }

    package let path: String

    /// `$FLASHLAYER_CACHE`, else /var/cache/flashlayer as root, else below the user's own cache folder.
    package init() throws {
        let environment = ProcessInfo.processInfo.environment
        if let named = environment["FLASHLAYER_CACHE"], !named.isEmpty {
            self.init(path: named.hasPrefix("/") ? named : FileManager.default.currentDirectoryPath + "/" + named)
        } else if getuid() == 0 {
            self.init(path: "/var/cache/flashlayer")
        } else if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") {
            self.init(path: folder + "/flashlayer")
        } else if let home = environment["HOME"], home.hasPrefix("/") {
            self.init(path: home + "/.cache/flashlayer")
        } else {
            throw FlashlayerError(
                .cannotCreate,
                "there is no place for the cache: neither FLASHLAYER_CACHE nor HOME is set",
                advice: "set FLASHLAYER_CACHE to a folder"
            )
        }
    }

    package init(path: String) {
        self.path = path
    }

    /// Makes its folders.
    package func prepare() throws {
        // Private: disks in it hold what guests keep from their users.
        if !FileManager.default.fileExists(atPath: path) {
            try Self.makeFolder(path)
            _ = unsafe chmod(path, 0o700)
        }
        for folder in ["base", "checkpoints", "debs", "work"] {
            try Self.makeFolder("\(path)/\(folder)")
        }
    }

    package static func makeFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw FlashlayerError(
                .cannotCreate,
                "cannot make the folder \(path): \(Errno.current)",
                advice: "name another cache: FLASHLAYER_CACHE=/some/folder"
            )
        }
    }

    package var debs: String { "\(path)/debs" }

    package func base(_ key: Digest) -> String { "\(path)/base/\(key.hex)" }

    package func checkpoint(_ key: Digest) -> String { "\(path)/checkpoints/\(key.hex)" }

    /// The paths of what lies in one of the folders, less the locks of builds that run.
    package func entries(of kind: Kind) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(path)/\(kind.rawValue)")) ?? []
        return names.filter { !$0.hasSuffix(".lock") && !names.contains("\($0).lock") }
            .map { "\(path)/\(kind.rawValue)/\($0)" }
    }

    /// Free bytes of the file system that holds the cache.
    package static func freeSpace(at path: String) -> UInt64? {
        var numbers = statvfs()
        guard unsafe statvfs(path, &numbers) == 0 else { return nil }
        return UInt64(numbers.f_bavail) * UInt64(numbers.f_frsize)
    }
}
