// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import StationProtocol

/// `flashlayer station`
struct StationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "station",
        abstract: "Teach, arm and watch the imaging station.",
        usage: "flashlayer station <command> [<option> ...]",
        discussion: """
            The station, a service named flashlayerd, writes an image to each stick that is plugged into an armed slot, \
            and proves every byte. A slot is a socket that was taught. What was there before the station was armed, what \
            is in another socket, and what a rule refuses is never written.

              flashlayer station teach 1
              flashlayer station arm /srv/kiosk.raw --slots 1-8 --count 200
              flashlayer station status --watch
              flashlayer station disarm
            """,
        subcommands: [
            StationStatusCommand.self, StationArm.self, StationDisarm.self, StationEject.self, StationRelease.self,
            StationTeach.self,
        ]
    )
}

/// Where the station is.
struct StationOptions: ParsableArguments, Sendable {
    @Option(
        help: ArgumentHelp("The socket of the station.", valueName: "path"),
        completion: .file()
    )
    var socket = StationSocket.path

    var client: StationClient { StationClient(socket: socket) }
}
