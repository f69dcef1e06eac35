// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Resolution

/// `flashlayer cache`
struct CacheCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache",
        abstract: "Show and prune what builds have left to be quick the next time.",
        usage: "flashlayer cache <list|prune> [<option> ...]",
        discussion: """
            The cache is in $FLASHLAYER_CACHE, else in /var/cache/flashlayer as root, else in the user's own cache folder. \
            It holds bases, a checkpoint behind each phase of a build, and downloads. Nothing in it is needed: what is gone \
            is made or fetched again.

              flashlayer cache list
              flashlayer cache prune --keep 10G
            """,
        subcommands: [CacheList.self, CachePrune.self]
    )
}

extension Cache.Kind {
    /// For a person, of one entry.
    var title: String {
        switch self {
        case .base: "base"
        case .checkpoints: "checkpoint"
        case .debs: "Debian packages"
        case .downloads: "downloads of guests"
        case .images: "fetched images"
        case .git: "git repositories"
        }
    }

    /// Downloads are many and small: they are shown as one.
    var isShownAsOne: Bool {
        switch self {
        case .base, .checkpoints: false
        case .debs, .downloads, .images, .git: true
        }
    }
}
