// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
import FoundationEssentials
import Glibc
import Model

/// Where results of phases, downloads and unfinished work are kept.
///
///     base/KEY/      a base: its disk, what is known of it, what its package manager knows
///     finished/KEY/  what a build made of a base: the disk's difference, the list of its packages
///     debs/          packages that were downloaded
///     work/NAME/     what a build that runs is making; nothing there is ever trusted by another
package struct Cache: Sendable {
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
        for folder in ["base", "debs", "finished", "work"] {
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

    package func finished(_ key: Digest) -> String { "\(path)/finished/\(key.hex)" }

    /// Free bytes of the file system that holds the cache.
    package static func freeSpace(at path: String) -> UInt64? {
        var numbers = statvfs()
        guard unsafe statvfs(path, &numbers) == 0 else { return nil }
        return UInt64(numbers.f_bavail) * UInt64(numbers.f_frsize)
    }
}
