// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Model
import Threads

/// `flashlayer devices --watch`
struct DeviceWatch: Sendable {
    /// What became of a disk, on a line of JSON.
    private struct Body: Encodable {
        let disk: Disk
    }

    private let all: Bool
    private let json: Bool
    private let console: Console
    private let monitor = HotplugMonitor()
    private let contents = RememberedContents(ObserverProcess())

    init(all: Bool, json: Bool, _ console: Console) {
        self.all = all
        self.json = json
        self.console = console
    }

    /// Returns when nobody reads standard output any more.
    ///
    /// - Throws: `CancellationError`, which is its usual end; `no-space`, `unavailable`.
    func run() async throws {
        var before: [Disk]?
        while true {
            let now = try await onAbandonableThread(named: "devices") { [contents] in
                try Inventory(tree: FileTree(), catalog: UdevCatalog(), observer: contents).disks()
            }
            if before == nil, !json { Devices.list(now, all: all, console) }
            // The first look is a list for people, and the first lines for programs.
            for change in json || before != nil ? DiskChange.between(before ?? [], now) : [] { tell(change) }
            before = now
            try Console.checkAnswer()
            // Without a word from the kernel it is looked all the same: not every container hears it.
            let event = try await onAbandonableThread(named: "hotplug") { [monitor] in
                monitor.wait(upTo: .seconds(2), reader: 1)
            }
            switch event {
            case .abandoned: return
            case .changed: contents.forget()
            case .nothing: break
            }
        }
    }

    private func tell(_ change: DiskChange) {
        if json { return Console.answer(FlashRecord.line(change.kind.rawValue, Body(disk: change.disk))) }
        guard all || change.disk.isCandidate else { return }
        let sign =
            switch change.kind {
            case .add: "+ "
            case .change: "~ "
            case .remove: "- "
            }
        let table = DeviceTable([change.disk], withReasons: all && change.kind != .remove, width: 98)
        for (index, line) in table.lines.dropFirst().enumerated() {
            Console.answer((index == 0 ? sign : "  ") + line)
        }
    }
}
