// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import BlockDevices
import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution
import Station
import StationService
import Threads

/// `flashlayer station teach`
struct StationTeach: Operation {
    static let configuration = CommandConfiguration(
        commandName: "teach",
        abstract: "Give the socket that a stick is plugged into a name, as a slot of the station.",
        usage: "flashlayer station teach <name> [--device <path>] [<option> ...]",
        discussion: """
            Waits for a stick, and takes the socket it comes into: controller and chain of ports, at USB 2 and USB 3, and \
            the speed of its link. Writes the slots, and udev's rules that give the station's group the disks in them and \
            nothing else. Nothing is written to the stick. It runs as root.

              flashlayer station teach 1
              flashlayer station teach front --device /dev/sdX

            A hub more or less on the way is another socket. A station that runs knows the slot when it is started anew: \
            systemctl restart flashlayerd.
            """
    )

    @Argument(help: "The slot's name: letters, digits, '.', '_' and '-'.")
    var name: String

    @Option(
        help: ArgumentHelp("Take the socket of this stick, which is plugged in already.", valueName: "path"),
        completion: .file()
    )
    var device: String?

    @Option(help: ArgumentHelp("Where the slots are kept.", valueName: "file"), completion: .file())
    var config = SlotMap.file

    @Option(help: ArgumentHelp("Where udev's rules are kept.", valueName: "file"), completion: .file())
    var rules = SlotRules.file

    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard Slot.isName(name) else {
            throw ValidationError("'\(name)' cannot name a slot: take at most 32 letters, digits, '.', '_' and '-'")
        }
    }

    func perform(_ console: Console) async throws {
        var map = try read()
        // Before anybody has searched for a stick.
        let files = try [config, rules].map { try file($0) }
        let medium = try await medium(console)
        guard let port = medium.port else {
            throw FlashlayerError(
                .usage,
                "\(medium.path) is in no socket of USB that can be told",
                advice: "plug the stick in elsewhere; flashlayer devices shows where disks are"
            )
        }
        let slot = Slot(
            name: name,
            port: port,
            peer: UsbPortPath.peer(ofBlockDevice: medium.sysfsPath),
            speed: medium.linkSpeed
        )
        try map.teach(slot)
        // The rules first: a slot without them is one that the station cannot open.
        try files[1].put(SlotRules.text(for: map))
        try files[0].put(map.text)
        await reloadRules(console)
        let ports = slot.ports.map(\.description).joined(separator: " and ")
        console.say("Slot \(name) is \(ports)" + (slot.speed.map { ", \($0) Mbit/s" } ?? "") + ".")
        console.say("Pull the stick. A station that runs knows the slot after: systemctl restart flashlayerd")
    }

    private func read() throws -> SlotMap {
        guard let data = FileManager.default.contents(atPath: config) else {
            guard unsafe access(config, F_OK) != 0 else {
                throw FlashlayerError.system("read \(config)", .current, code: .unavailable)
            }
            return SlotMap()
        }
        return try SlotMap(text: String(decoding: data, as: UTF8.self), file: config)
    }

    private func file(_ path: String) throws -> OutputFile {
        let folder = path.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        if path.hasPrefix("/"), !folder.isEmpty { try? Cache.makeFolder(folder) }
        return try OutputFile(path, replaces: true)
    }

    private func medium(_ console: Console) async throws -> Medium {
        let take = { try await onAbandonableThread(named: "census") { try MediaCensus.take().media } }
        if let device {
            let path = try await onAbandonableThread(named: "find-stick") { try Inventory().disk(at: device).path }
            guard let found = try await take().first(where: { $0.path == path }) else {
                throw FlashlayerError(.usage, "\(device) is no disk on USB", advice: "name a stick: flashlayer devices")
            }
            return found
        }
        let monitor = HotplugMonitor()
        let before = Set(try await take().map(\.sysfsPath))
        console.say("Plug a stick into the socket that is to be slot \(name). (Ctrl-C: leave all as it was.)")
        while true {
            let come = try await take().filter { !before.contains($0.sysfsPath) && $0.size > 0 }
            if come.count > 1 {
                throw FlashlayerError(
                    .ambiguous,
                    "several sticks came: \(come.map(\.path).joined(separator: ", "))",
                    advice: "plug one in at a time"
                )
            }
            if let stick = come.first { return stick }
            _ = try await onAbandonableThread(named: "hotplug") { monitor.wait(upTo: .seconds(2)) }
        }
    }

    private func reloadRules(_ console: Console) async {
        guard UdevDaemon.isRunning else { return }
        do {
            try await Program("udevadm", debianPackage: "udev").run(["control", "--reload"])
        } catch {
            console.warn("udev was not told of its new rules: \(FlashlayerError(wrapping: error).message)")
        }
    }
}
