// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageBuilder
import Layers
import Model
import Resolution

/// `flashlayer cache prune`
struct CachePrune: Operation {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Remove what was of no use for longest, until the cache is small enough.",
        usage: "flashlayer cache prune --keep <size>",
        discussion: """
            What a running build uses stays, and so does a base as long as a checkpoint refers to it.

              flashlayer cache prune --keep 10G
              flashlayer cache prune --keep 0        removes all of it
            """
    )

    @Option(help: ArgumentHelp("How much may stay: 10G, 500M, or a number of bytes.", valueName: "size"))
    var keep: String

    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard ByteSize.parse(keep) != nil else {
            throw ValidationError("--keep takes a size such as 10G, 500M or a number of bytes, not '\(keep)'")
        }
    }

    func perform(_ console: Console) async throws {
        guard let limit = ByteSize.parse(keep) else { return }
        let pruning = CachePruning(cache: try Cache())
        let removed = await pruning.prune(keeping: limit)
        for entry in removed {
            console.detail("removed \(entry.kind.title) \(entry.description.printable)")
        }
        let freed = removed.reduce(0) { $0 + $1.size }
        let left = pruning.entries().reduce(0) { $0 + $1.size }
        console.say("\(ByteSize.describe(freed)) freed, \(ByteSize.describe(left)) left")
        if left > limit { console.warn("the rest is in use by builds that run") }
    }
}
