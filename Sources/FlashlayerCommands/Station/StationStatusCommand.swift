// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import FoundationEssentials
import Model
import StationProtocol

/// `flashlayer station status`
struct StationStatusCommand: Operation {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show what each slot of the station does.",
        usage: "flashlayer station status [--watch] [--json] [<option> ...]",
        discussion: """
            A slot is empty, present, probing, refused, writing, verifying, passed, already-done, failed, quarantined or \
            not-responding. What has passed, or has the image already, may be pulled and used; what has failed is not what \
            it should be.

              flashlayer station status
              flashlayer station status --watch
              flashlayer station status --json | jq '.slots[] | select(.state == "failed")'

            With --watch --json it prints an object on a line at each change.
            """
    )

    @Flag(help: "Go on, and show each change.")
    var watch = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var station: StationOptions
    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        guard watch else {
            let status = try await station.client.ask(.status(watch: false))
            if json { return Console.answer(try JSONText.of(status)) }
            return Self.table(status).forEach { Console.answer($0) }
        }
        let isLive = !json && console.isTerminal
        try await station.client.watch { status in
            if isLive {
                console.status(Self.table(status))
            } else if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
                guard let data = try? encoder.encode(status) else { return false }
                Console.answer(String(decoding: data, as: UTF8.self))
            } else {
                for line in Self.table(status) + [""] { Console.answer(line) }
            }
            return (try? Console.checkAnswer()) != nil && (isLive || Console.isHeard)
        }
    }

    private static func table(_ status: StationStatus) -> [String] {
        StationTable(status, now: Int64(Date().timeIntervalSince1970)).lines
    }
}
