// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import ArgumentParser
import Glibc
import Model
import Programs

/// The program, as `flashlayer --help` shows it.
package struct FlashlayerCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "flashlayer",
        abstract: "Turns OS layers into a bootable image and puts it on bare metal, proving every byte.",
        discussion: """
            The main job, from layers to a disk that boots:

              flashlayer devices
              flashlayer build-and-write /dev/sdX --project examples/kiosk

            Nothing is written before the device was checked and you have confirmed it.
            """,
        version: Version.string,
        subcommands: [EngineCommand.self],
        groupedSubcommands: [
            CommandGroup(name: "The main job", subcommands: [BuildAndWrite.self]),
            CommandGroup(name: "Images", subcommands: [PlanShow.self, Build.self, BootTestCommand.self]),
            CommandGroup(name: "Devices", subcommands: [Devices.self, Write.self, Verify.self]),
        ]
    )

    package init() {}

    /// Runs the program with this process's arguments; never returns.
    package static func runAndExit() async -> Never {
        // Whoever reads us or is read by us may go away; the write that fails then says so.
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            Glibc.exit(0)
        } catch let error as FlashlayerError {
            Console.report(error)
            Glibc.exit(error.code.exitStatus)
        } catch {
            exit(withError: error)
        }
    }
}
