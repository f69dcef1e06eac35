// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import Glibc

/// What the program starts itself as, to look at devices that may hang. Not for people: see `ObserverProcess`.
struct ObserveCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: ObserverJob.subcommand,
        abstract: "The worker that looks at devices.",
        shouldDisplay: false
    )

    func run() throws {
        _exit(try ObserverJob.run())
    }
}

/// What the program starts itself as, to unmount what may be in use or hang. Not for people: see `Unmounting`.
struct UnmountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: UnmountJob.subcommand,
        abstract: "The worker that unmounts.",
        shouldDisplay: false
    )

    func run() throws {
        _exit(try UnmountJob.run())
    }
}
