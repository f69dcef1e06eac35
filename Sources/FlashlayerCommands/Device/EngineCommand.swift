// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import Flashing
import Glibc

/// What the program starts itself as, to do the I/O of one target. Not for people: see `Engine`.
struct EngineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: Engine.subcommand,
        abstract: "The worker that does the I/O of one target.",
        shouldDisplay: false
    )

    func run() async throws {
        Glibc.exit(await Engine.run())
    }
}
