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
        usage: "flashlayer <command> [<option> ...]",
        discussion: """
            The main job, from layers to a disk that boots:

              flashlayer devices
              flashlayer build-and-write /dev/sdX --project examples/kiosk

            The first lists the disks that can be written, the second builds, writes, and reads every byte back. Nothing \
            is written before the disk was checked and you have typed its name.

            Exit status: 0 done, 64 wrong command line, 65 bad input, 66 input missing, 69 a needed program is missing, 70 \
            a fault of flashlayer, 73 output cannot be made, 74 the disk failed, 75 the disk is busy, 77 refused, 78 bad \
            recipe, 130 and 143 interrupted. Each message ends with the code of what is wrong, in brackets.

            'flashlayer <command> --help' says more of each command.
            """,
        version: Version.string,
        subcommands: [
            EngineCommand.self, ObserveCommand.self, UnmountCommand.self, RulesCommand.self, ManualCommand.self,
        ],
        groupedSubcommands: [
            CommandGroup(name: "The main job", subcommands: [BuildAndWrite.self]),
            CommandGroup(
                name: "Images",
                subcommands: [
                    New.self, LintCommand.self, PlanShow.self, Why.self, Build.self, Update.self, BootTestCommand.self,
                    Diff.self, MapCommand.self, ExportCommand.self, ScriptCommand.self, PackerCommand.self,
                    CacheCommand.self,
                ]
            ),
            CommandGroup(name: "Devices", subcommands: [Devices.self, Explain.self, Write.self, Verify.self]),
            CommandGroup(name: "The imaging station", subcommands: [StationCommand.self]),
            CommandGroup(name: "This machine", subcommands: [Doctor.self]),
        ]
    )

    package init() {}

    /// Runs the program with this process's arguments; never returns.
    package static func runAndExit() async -> Never {
        // Whoever reads us or is read by us may go away; the write that fails then says so.
        signal(SIGPIPE, SIG_IGN)
        occupyStandardDescriptors()
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            var command = try parse(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            try Console.checkAnswer()
            Glibc.exit(0)
        } catch {
            let error = FlashlayerError(wrapping: answered(error) ?? error)
            Console.report(error)
            Glibc.exit(error.code.exitStatus)
        }
    }

    /// Help, the version, a completion script: an answer, not a failure.
    ///
    /// - Returns: what became of the answer; nil when the error is none.
    private static func answered(_ error: any Error) -> FlashlayerError? {
        guard !(error is FlashlayerError), exitCode(for: error) == .success else { return nil }
        Console.answer(fullMessage(for: error))
        do {
            try Console.checkAnswer()
        } catch {
            return FlashlayerError(wrapping: error)
        }
        Glibc.exit(0)
    }

    /// A program that is started without standard output would get a disk for it, or a log: whatever it opens first.
    /// What is said there fails instead.
    private static func occupyStandardDescriptors() {
        for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest number that is free, which is this one. Not open for writing.
            _ = unsafe open("/dev/null", O_RDONLY)
        }
    }

    /// - Throws: `usage`; or what the parser throws to say help, the version or a completion script.
    package static func parse(_ arguments: [String]) throws -> any ParsableCommand {
        do {
            return try parseAsRoot(arguments)
        } catch {
            guard exitCode(for: error) == .validationFailure else { throw error }
            throw FlashlayerError(unreadable: error, arguments: arguments)
        }
    }
}
