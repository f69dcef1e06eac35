// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// All that the rules know when they judge one device. Nothing in it reads a file.
package struct Subject: Sendable {
    package let node: BlockNode
    let view: SystemView
    let system: SystemUses
    let hardware: HardwareFacts
    /// nil when the disk could not be read.
    package let content: DiskContent?
    var request = WriteRequest()
    /// It hangs: it gave no answer when it was looked at.
    var isSilent = false
    /// Which of the devices that were opened exclusively for a moment somebody else has; nil when that was not tried.
    var busy: [String]?

    /// Every device whose bytes change when this one is overwritten.
    var overwritten: Set<DeviceNumber> {
        // A loop device over a disk or partition writes there. The whole disk counts: better one refusal too many.
        (below + [node.number]).reduce(into: []) { all, disk in
            all.insert(disk)
            all.formUnion(view.partitions(of: disk).map(\.number))
        }
    }

    /// The disks that this one writes to, from the top down: loop devices may be over loop devices.
    var below: [DeviceNumber] {
        var found: [DeviceNumber] = []
        var upper = node
        while let lower = view.device(below: upper) {
            let disk = view.nodes[lower]?.parent ?? lower
            guard disk != node.number, !found.contains(disk) else { break }
            found.append(disk)
            guard let next = view.nodes[disk] else { break }
            upper = next
        }
        return found
    }

    /// Whether all of its bytes are known to lie in memory or in a file: no file system of the machine is hidden there.
    var standsApart: Bool {
        switch hardware.transport {
        case .loop:
            // A path of /dev that leads nowhere may be a disk's.
            view.nodes[below.last ?? node.number]?.loop?.path.map { !$0.hasPrefix("/dev/") } ?? false
        case .zram, .ram: true
        default: false
        }
    }

    /// "/dev/sda2", for something that lies on it.
    func name(_ number: DeviceNumber) -> String {
        view.displayName(number)
    }

    /// How the footing of something reaches this device: "/dev/dm-1 (vg-root) WHAT, on /dev/dm-0, on /dev/sda3".
    func ways(_ footing: Footing, _ what: String) -> [String] {
        let own = overwritten
        return footing.devices.values
            // Only where a way first meets the device: the disk of a partition says nothing new.
            .filter { way in way.last.map(own.contains) ?? false && !way.dropLast().contains(where: own.contains) }
            .map { way in
                ([way.first.map { "\(name($0)) \(what)" } ?? what] + way.dropFirst().map { "on " + name($0) })
                    .joined(separator: ", ")
            }
            .sorted()
    }
}

extension Subject: Equatable {
    /// One device is judged once in a view: what it is decides.
    package static func == (one: Subject, other: Subject) -> Bool {
        one.node == other.node && one.hardware == other.hardware && one.content == other.content
    }
}

extension Subject: CustomStringConvertible {
    package var description: String { node.path }
}

extension Subject {
    /// What every rule says: the same question for `devices`, `write` and all others.
    package var refusals: [Refusal] {
        Rule.all.compactMap { rule in
            let evidence = rule.evidence(self)
            guard !evidence.isEmpty, !(rule.isOverridable && request.allowed.contains(rule.code)) else { return nil }
            var refusal = Refusal(rule, path: node.path, evidence: evidence)
            if rule.code == .mounted && !request.unmounts {
                var unmounting = self
                unmounting.request.unmounts = true
                refusal.endsByUnmounting = rule.evidence(unmounting).isEmpty
            }
            return refusal
        }
    }
}

extension Refusal {
    init(_ rule: Rule, path: String, evidence: [String]) {
        let shown = 4
        let rest = evidence.count > shown ? ["and \(evidence.count - shown) more"] : []
        self.init(
            code: rule.code,
            message: "\(path) \(rule.sentence)",
            evidence: (evidence.prefix(shown) + rest).joined(separator: "; "),
            overridable: rule.isOverridable
        )
    }
}
