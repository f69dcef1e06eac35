// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FoundationEssentials
import Glibc
import ImageBuilder
import Layers
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
        abstract: "Boot an image or a device in QEMU, and say whether it came up as it should.",
        usage: "flashlayer boot-test <image> [--project <folder>] [--junit <file>] [<option> ...]",
        discussion: """
            A throwaway overlay is booted: the image or device itself is only read. It passes when systemd says that \
            everything is started and no unit has failed, and when all holds that [boot-test] in the recipe asserts: \
            units that are active, commands that end with status 0. The description NAME.json beside an image has \
            that from its build; --project takes it from a recipe, for a device or to test against a newer one.

              flashlayer boot-test kiosk.qcow2
              flashlayer boot-test kiosk.qcow2 --unit ssh.service --junit kiosk.xml
              flashlayer boot-test /dev/sdX --project examples/kiosk --firmware uefi

            What the serial console prints is kept in NAME.FIRMWARE.serial.log, beside an image, and in the current \
            folder for a device.
            """
    )

    @Argument(
        help: ArgumentHelp(
            "A disk image file, or a block device. Default: what a build of --project leaves here.",
            valueName: "image"
        ),
        completion: .file()
    )
    var image: String?

    @Option(
        help: ArgumentHelp("Take what is asserted from this project's recipe.", valueName: "folder"),
        completion: .file()
    )
    var project: String?

    @Option(help: ArgumentHelp("That of the project, which may assert more.", valueName: "name"))
    var variant: String?

    @Option(help: "What starts it; all is bios and then uefi. Default: what the recipe says, else all.")
    var firmware: Choice?

    @Option(
        help: ArgumentHelp(
            "How long each boot may take. Default: what the recipe says, else 120, or 600 where machines are emulated.",
            valueName: "seconds"
        )
    )
    var timeout: Int?

    @Option(
        name: .customLong("unit"),
        help: ArgumentHelp("This unit has to be active as well. May be given several times.", valueName: "name")
    )
    var units: [String] = []

    @Option(
        name: .customLong("check"),
        help: ArgumentHelp(
            "This shell command has to succeed in the guest as well. May be given several times.",
            valueName: "command"
        )
    )
    var checks: [String] = []

    @Option(help: ArgumentHelp("Keep what the serial consoles print in this folder.", valueName: "folder"))
    var serialLog: String?

    @Option(help: ArgumentHelp("Write the outcome as JUnit XML, too.", valueName: "file"))
    var junit: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if image == nil, project == nil { throw ValidationError("missing expected argument '<image>'") }
        if variant != nil, project == nil { throw ValidationError("--variant is one of a project: add --project") }
        if let timeout, !(1...86400).contains(timeout) {
            throw ValidationError("--timeout takes a number of seconds, at most a day (86400)")
        }
    }

    func perform(_ console: Console) async throws {
        let recipe = try project.map { try Recipe(project: $0).selecting(variant: variant) }
        let image = image ?? "\(recipe?.outputName ?? "").qcow2"
        let recorded = try BootTestDescription.settings(of: image)
        let settings = recipe?.imageBootTest ?? recorded ?? BootTestSettings()
        let test = BootTest(
            image,
            // A recipe need not say what its image is made for; the image's description does.
            firmware: firmware?.firmware ?? settings.firmware ?? recorded?.firmware ?? Choice.all.firmware,
            timeLimit: (timeout ?? settings.timeout).map { .seconds($0) },
            units: settings.units + units,
            checks: settings.commands + checks,
            serialLogs: serialLog
        )
        // Better now than after minutes.
        if let junit { try Self.confirmPossible(junit) }
        let cache = try Cache()
        let outcomes = try await BuildReporter.showing(on: console) { try await test.run(cache: cache, observer: $0) }
        console.clearStatus()
        for outcome in outcomes where outcome.error == nil { console.say(Self.line(outcome)) }
        if let junit {
            let report = JUnitReport(image: image, outcomes: outcomes, assertions: test.assertions)
            try HostFile.replace(junit, with: report.xml)
        }
        if json { Console.answer(try Self.json(outcomes)) }
        let errors = outcomes.compactMap(\.error)
        for error in errors.dropLast() { console.warn(error.message) }
        if let error = errors.last { throw error }
    }

    private static func confirmPossible(_ file: String) throws {
        var status = stat()
        if unsafe stat(file, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw FlashlayerError(.cannotCreate, "\(file) is there and is no file", advice: "name a file: --junit FILE")
        }
        let parent = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let folder = parent.isEmpty ? (file.hasPrefix("/") ? "/" : ".") : parent
        guard unsafe access(folder, W_OK | X_OK) == 0 else {
            throw FlashlayerError.system("write \(file)", .current, code: .cannotCreate)
        }
    }

    private static func line(_ outcome: BootTest.Outcome) -> String {
        let seconds = Int(outcome.seconds.rounded())
        let count = outcome.report?.checks.count ?? 0
        let checks = count == 0 ? "" : ", \(count) \(count == 1 ? "check" : "checks") passed"
        let kernel = outcome.report?.kernel ?? "?"
        return "\(outcome.firmware.title): up in \(seconds) s, nothing failed\(checks) (Linux \(kernel))"
    }

    private struct Line: Encodable {
        struct Unit: Encodable {
            let unit: String
            let status: Int32
            let seconds: Double
            let output: String
        }

        struct Check: Encodable {
            let command: String
            let status: Int32
            let seconds: Double
            let output: String
        }

        let firmware: BootTest.Firmware
        let accelerator: Accelerator
        let result: String
        let seconds: Double
        let state: String?
        let kernel: String?
        let failedUnits: [String]?
        let units: [Unit]?
        let checks: [Check]?
        let serialLog: String
        let error: FlashlayerError?

        init(_ outcome: BootTest.Outcome) {
            firmware = outcome.firmware
            accelerator = outcome.accelerator
            result = outcome.error == nil ? "pass" : "fail"
            seconds = outcome.seconds
            state = outcome.report?.state
            kernel = outcome.report?.kernel
            failedUnits = outcome.report?.failedUnits
            units = outcome.report?.checks.compactMap { check in
                guard case .unit(let name) = check.assertion else { return nil }
                return Unit(unit: name, status: check.status, seconds: check.seconds, output: check.output)
            }
            checks = outcome.report?.checks.compactMap { check in
                guard case .command(let text) = check.assertion else { return nil }
                return Check(command: text, status: check.status, seconds: check.seconds, output: check.output)
            }
            serialLog = outcome.serialLog
            error = outcome.error
        }
    }

    private static func json(_ outcomes: [BootTest.Outcome]) throws -> String {
        let lines = outcomes.map { Line($0) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(lines), as: UTF8.self)
        } catch {
            throw FlashlayerError(.fault, "cannot print the result: \(error)")
        }
    }
}
