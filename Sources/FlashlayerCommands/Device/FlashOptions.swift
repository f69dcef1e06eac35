// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import Model

/// The options of every command that overwrites a device.
struct FlashOptions: ParsableArguments, Sendable {
    @Flag(name: [.short, .long], help: "Do not ask for the disk's name. This lifts no rule.")
    var yes = false

    @Option(
        name: .long,
        parsing: .singleValue,
        help: ArgumentHelp(
            "Allow what is refused otherwise: internal, virtual, member or large. May be repeated.",
            valueName: "code"
        )
    )
    var allow: [String] = []

    @Flag(
        name: .customLong("no-verify"),
        help: "Do not read back what was written. Quicker; a disk that loses data then goes unnoticed."
    )
    var skipsVerify = false

    @OptionGroup var engine: EngineOptions

    /// - Throws: `usage` for a rule that does not exist or cannot be lifted.
    func allowed() throws -> Set<ErrorCode> {
        try Set(allow.map { try Rule.allowance($0) })
    }
}

/// The options of every command that reads a device through an engine.
struct EngineOptions: ParsableArguments, Sendable {
    @Option(help: ArgumentHelp("Give up a disk that completes nothing for so long.", valueName: "seconds"))
    var timeout = 120

    @Flag(help: "Report as JSON lines on standard output.")
    var json = false

    func validate() throws {
        guard (1...86400).contains(timeout) else {
            throw ValidationError("--timeout takes a number of seconds, at most a day (86400)")
        }
    }
}
