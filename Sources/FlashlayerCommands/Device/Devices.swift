// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import Model
import Threads

/// `flashlayer devices`
struct Devices: Operation {
    static let configuration = CommandConfiguration(
        abstract: "Show the disks that can be written, and why others cannot.",
        usage: "flashlayer devices [--all] [--watch] [--json] [<option> ...]",
        discussion: """
            The table shows every disk that may be overwritten, and those that need your word for it \
            (--allow CODE). Disks that are never overwritten, such as the one this machine runs from, and \
            virtual ones such as loop devices appear with --all, each with the code of what refuses it.

              flashlayer devices
              flashlayer devices --all
              flashlayer devices --watch
              flashlayer devices --json | jq -r '.[] | select(.refusals == []) | .path'

            --json shows all disks. With --watch it prints a JSON object on a line for each disk that is there \
            ("event": "add"), and then for each that comes, changes or goes (add, change, remove), until it is \
            interrupted, or nobody reads it any more. 'flashlayer explain' says more of one disk.
            """
    )

    @Flag(help: "Show the refused disks too, with the reasons.")
    var all = false

    @Flag(help: "Go on, and tell of each disk that comes, changes or goes.")
    var watch = false

    @Flag(help: "Print an array of all disks as JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func perform(_ console: Console) async throws {
        if watch { return try await DeviceWatch(all: all, json: json, console).run() }
        let disks = try await onAbandonableThread(named: "devices") { try Inventory().disks() }
        if json { return Console.answer(try JSONText.of(disks)) }
        Self.list(disks, all: all, console)
    }

    /// The table, and on standard error what is not in it.
    static func list(_ disks: [Disk], all: Bool, _ console: Console) {
        let shown = all ? disks : disks.filter(\.isCandidate)
        if !shown.isEmpty {
            for line in DeviceTable(shown, withReasons: all).lines { Console.answer(line) }
        }
        let hidden = disks.count - shown.count
        if disks.isEmpty {
            console.say("There is no disk in this machine. Plug one in, and look again: flashlayer devices --watch")
        } else if shown.isEmpty {
            console.say(
                "No disk here can be written. Plug one in; 'flashlayer devices --all' shows the "
                    + (hidden == 1 ? "one that is refused, and why." : "\(hidden) that are refused, and why.")
            )
        } else if hidden > 0 {
            console.say("\(hidden) more with --all: they are refused, or are no physical disks.")
        }
    }
}

extension Disk {
    /// Whether a person would look for it in the list: it may be written, or may be with a word more.
    var isCandidate: Bool {
        refusals.allSatisfy { $0.overridable && $0.code != .virtual }
    }
}
