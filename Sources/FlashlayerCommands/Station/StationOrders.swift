// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import StationProtocol

/// `flashlayer station disarm`
struct StationDisarm: Operation {
    static let configuration = CommandConfiguration(
        commandName: "disarm",
        abstract: "Begin no more sticks.",
        usage: "flashlayer station disarm [--cancel] [<option> ...]",
        discussion: """
            Sticks that are being written are written to their end, unless --cancel stops them: they then hold no image.

              flashlayer station disarm
              flashlayer station disarm --cancel
            """
    )

    @Flag(help: "Stop those that are being written, too.")
    var cancel = false

    @OptionGroup var station: StationOptions
    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        let status = try await station.client.ask(.disarm(cancel: cancel))
        let busy = status.slots.count { [.probing, .writing, .verifying].contains($0.state) }
        console.say(busy == 0 ? "Disarmed." : "Disarmed; \(busy) are still at work.")
    }
}

/// `flashlayer station eject`
struct StationEject: Operation {
    static let configuration = CommandConfiguration(
        commandName: "eject",
        abstract: "Leave the stick in a slot alone until it is plugged in anew.",
        usage: "flashlayer station eject <slot> [<option> ...]",
        discussion: """
            It may be pulled then. One that is being written is refused: disarm the station, or pull the stick, which fails.

              flashlayer station eject 3
            """
    )

    @Argument(help: "The slot.")
    var slot: String

    @OptionGroup var station: StationOptions
    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        _ = try await station.client.ask(.eject(slot: slot))
        console.say("The stick in slot \(slot) may be pulled.")
    }
}

/// `flashlayer station release`
struct StationRelease: Operation {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Give a quarantined stick another chance, or a slot that hangs.",
        usage: "flashlayer station release <slot> [<option> ...]",
        discussion: """
            A stick that failed twice is quarantined by its serial number. Once released, it is tried again when it is \
            plugged in anew. A slot whose stick hangs is not waited for any longer, and the sign of a stick that was pulled \
            too early is taken off an empty slot.

              flashlayer station release 3
            """
    )

    @Argument(help: "The slot.")
    var slot: String

    @OptionGroup var station: StationOptions
    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        _ = try await station.client.ask(.release(slot: slot))
        console.say("Slot \(slot) is released.")
    }
}
