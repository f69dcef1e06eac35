// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import TestSupport

/// What must be said of the disks of a random machine, told from what is true of it. It shares nothing with the rules:
/// it knows what lies on what, where they have to find out.
struct StorageOracle {
    /// The system stands on these.
    let system: Set<String>
    /// It may stand on these, as far as anybody can see who knows only paths.
    let possible: Set<String>
    /// Nobody can tell what it stands on.
    let isUnknown: Bool
    private let machine: RandomMachine

    init(_ machine: RandomMachine) {
        self.machine = machine
        var truth = Walk(machine: machine, sees: false)
        var sight = Walk(machine: machine, sees: true)
        for (index, mount) in machine.mounts.enumerated()
        where mount.process == nil && Self.isSystem(mount, machine) {
            truth.mount(index)
            sight.mount(index)
        }
        for swap in machine.swapFiles {
            truth.fileSystem(swap.fileSystem)
            if !swap.isSeen { sight.isLost = true }
            sight.fileSystem(swap.fileSystem)
        }
        for swap in machine.swapDevices {
            truth.device(swap)
            sight.device(swap)
        }
        system = truth.devices
        possible = sight.devices
        let hasRoot = machine.mounts.contains { $0.process == nil && $0.point == "/" }
        isUnknown = sight.isLost || !hasRoot || machine.hasLostSwap
    }

    /// Whether the system needs a disk for more than swap that lies straight on it.
    func isSystemDisk(_ disk: String, _ devices: Set<String>) -> Bool {
        guard devices.contains(disk) else { return false }
        var walk = Walk(machine: machine, sees: false)
        for (index, mount) in machine.mounts.enumerated()
        where mount.process == nil && Self.isSystem(mount, machine) {
            walk.mount(index)
        }
        let own = Set([disk] + (machine.disks[disk] ?? []))
        for swap in machine.swapDevices where !own.contains(swap) { walk.device(swap) }
        for swap in machine.swapFiles
        where own.isDisjoint(with: machine.fileSystems[swap.fileSystem].devices) { walk.fileSystem(swap.fileSystem) }
        return walk.devices.contains(disk)
    }

    /// The other rules that look at what lies on what.
    func codes(_ disk: String) -> Set<ErrorCode> {
        let own = Set([disk] + (machine.disks[disk] ?? []))
        var codes: Set<ErrorCode> = []
        if machine.mounts.contains(where: { !own.isDisjoint(with: machine.fileSystems[$0.fileSystem].devices) }) {
            codes.insert(.mounted)
        }
        let swappedTo = machine.swapFiles.flatMap { machine.fileSystems[$0.fileSystem].devices } + machine.swapDevices
        if !own.isDisjoint(with: swappedTo) { codes.insert(.swap) }
        if machine.stacks.values.contains(where: { !own.isDisjoint(with: $0) }) { codes.insert(.held) }
        if machine.loops.contains(where: { $0.device.map(own.contains) ?? false }) { codes.insert(.backsLoop) }
        return codes
    }

    /// Below /var, and at /home, only what lies on devices by itself.
    private static func isSystem(_ mount: RandomMachine.Mount, _ machine: RandomMachine) -> Bool {
        if ["/", "/usr", "/var", "/efi", "/boot", "/boot/efi"].contains(mount.point) { return true }
        return ["/home", "/var/lib"].contains(mount.point) && !machine.fileSystems[mount.fileSystem].devices.isEmpty
    }

    /// Down the graph: by what is true, or by all that the paths would allow.
    private struct Walk {
        let machine: RandomMachine
        let sees: Bool
        var devices: Set<String> = []
        var isLost = false
        private var mounts: Set<Int> = []
        private var fileSystems: Set<Int> = []

        init(machine: RandomMachine, sees: Bool) {
            self.machine = machine
            self.sees = sees
        }

        mutating func mount(_ index: Int) {
            guard mounts.insert(index).inserted else { return }
            let what = machine.fileSystems[machine.mounts[index].fileSystem]
            guard sees, what.kind == .overlay else { return fileSystem(machine.mounts[index].fileSystem) }
            for layer in what.layers {
                // Any copy of the overlay tells the time as well as this one.
                let places =
                    [index]
                    + machine.mounts.indices.filter {
                        machine.mounts[$0].fileSystem == machine.mounts[index].fileSystem
                    }
                let before = places.compactMap { candidates(layer.path, below: $0) }.first
                guard let before, layer.path.hasPrefix("/") else {
                    isLost = true
                    continue
                }
                for each in before { mount(each) }
            }
        }

        /// The mounts that were there before one, and on which a path may lie; nil when it is hidden by now.
        private func candidates(_ path: String, below index: Int) -> [Int]? {
            let process = machine.mounts[index].process
            let all = machine.mounts.indices.filter {
                machine.mounts[$0].process == process && RandomMachine.covers(machine.mounts[$0].point, path)
            }
            let before = all.filter { $0 < index }
            let visible = all.last { machine.mounts[$0].point != "/" } ?? all.first
            guard !before.isEmpty, visible.map({ $0 <= index }) ?? false else { return nil }
            return before
        }

        mutating func fileSystem(_ index: Int) {
            guard fileSystems.insert(index).inserted else { return }
            let what = machine.fileSystems[index]
            if what.kind == .unheardOf { isLost = true }
            for device in what.devices { self.device(device) }
            if !sees { for layer in what.layers { layer.below.map { fileSystem($0) } } }
        }

        mutating func device(_ name: String) {
            guard devices.insert(name).inserted else { return }
            for lower in machine.stacks[name] ?? [] { device(lower) }
            for (disk, partitions) in machine.disks where partitions.contains(name) { device(disk) }
            guard let loop = machine.loops.first(where: { $0.name == name }) else { return }
            if let lower = loop.device { return device(lower) }
            if !sees || loop.isKnown {
                loop.fileSystem.map { fileSystem($0) }
            } else if loop.isDeleted {
                isLost = true
            } else {
                for (index, mount) in machine.mounts.enumerated()
                where mount.process == nil && RandomMachine.covers(mount.point, loop.path) {
                    self.mount(index)
                }
            }
        }
    }
}
