// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FoundationEssentials
import ImageBuilder
import Model
import Resolution

/// `flashlayer boot-test`
struct BootTestCommand: Operation {
    enum Choice: String, ExpressibleByArgument, CaseIterable {
        case bios, uefi
        case secureBoot = "secure-boot"
        case all

        var firmware: [BootTest.Firmware] {
            switch self {
            case .bios: [.bios]
            case .uefi: [.uefi]
            case .secureBoot: [.secureBoot]
            case .all: [.bios, .uefi]
            }
        }
    }

    static let configuration = CommandConfiguration(
        commandName: "boot-test",
        abstract: "Boot an image or a device in QEMU, and say whether it came up with nothing failed.",
        usage: "flashlayer boot-test <image> [--firmware <firmware>] [<option> ...]",
        discussion: """
            A throwaway overlay is booted: the image or device itself is only read. It passes when systemd says that \
            everything is started and no unit has failed.

              flashlayer boot-test kiosk.qcow2
              flashlayer boot-test /dev/sdX --firmware uefi
            """
    )

    @Argument(help: ArgumentHelp("A disk image file, or a block device.", valueName: "image"))
    var image: String

    @Option(help: "What starts it; all is bios and then uefi.")
    var firmware = Choice.all

    @Option(
        help: ArgumentHelp(
            "How long each boot may take. Default: 120, or 600 where machines are emulated.",
            valueName: "seconds"
        )
    )
    var timeout: Int?

    @Option(
        name: .customLong("check"),
        help: ArgumentHelp(
            "Run this shell command in the guest once it is up; the test fails if it does. May be given several times.",
            valueName: "command"
        )
    )
    var checks: [String] = []

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if let timeout, !(1...86400).contains(timeout) {
            throw ValidationError("--timeout takes a number of seconds, at most a day (86400)")
        }
    }

    func perform(_ console: Console) async throws {
        let test = BootTest(
            image,
            firmware: firmware.firmware,
            timeLimit: timeout.map { .seconds($0) },
            checks: checks
        )
        let cache = try Cache()
        let outcomes = try await BuildReporter.showing(on: console) { try await test.run(cache: cache, observer: $0) }
        console.clearStatus()
        for outcome in outcomes where outcome.error == nil {
            let kernel = outcome.report?.kernel ?? "?"
            console.say(
                "\(outcome.firmware.title): up in \(Int(outcome.seconds.rounded())) s, nothing failed (Linux \(kernel))"
            )
        }
        if json { Console.answer(try Self.json(outcomes)) }
        let errors = outcomes.compactMap(\.error)
        for error in errors.dropLast() { console.warn(error.message) }
        if let error = errors.last { throw error }
    }

    private struct Line: Encodable {
        let firmware: BootTest.Firmware
        let result: String
        let seconds: Double
        let state: String?
        let kernel: String?
        let failedUnits: [String]?
        let checks: [BootReport.Check]?
        let consoleLog: String?
        let error: FlashlayerError?
    }

    private static func json(_ outcomes: [BootTest.Outcome]) throws -> String {
        let lines = outcomes.map { outcome in
            Line(
                firmware: outcome.firmware,
                result: outcome.error == nil ? "pass" : "fail",
                seconds: outcome.seconds,
                state: outcome.report?.state,
                kernel: outcome.report?.kernel,
                failedUnits: outcome.report?.failedUnits,
                checks: outcome.report?.checks,
                consoleLog: outcome.consoleLog,
                error: outcome.error
            )
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(lines), as: UTF8.self)
        } catch {
            throw FlashlayerError(.fault, "cannot print the result: \(error)")
        }
    }
}
