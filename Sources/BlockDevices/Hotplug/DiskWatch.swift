// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Synchronization

/// What has become of the disks since the last look.
package struct DiskChange: Sendable {
    package enum Kind: String, Codable, Sendable {
        case add, change, remove
    }

    package let kind: Kind
    /// As it is now; of one that is gone, as it was.
    package let disk: Disk

    /// - Returns: what differs between two looks, those that are gone first.
    package static func between(_ before: [Disk], _ now: [Disk]) -> [DiskChange] {
        // A medium that was swapped is another disk, though it has the same node.
        let isSame = { (one: Disk, other: Disk) in one.path == other.path && one.diskseq == other.diskseq }
        let gone = before.filter { old in !now.contains { isSame($0, old) } }
        return gone.map { DiskChange(kind: .remove, disk: $0) }
            + now.compactMap { disk in
                guard let old = before.first(where: { isSame($0, disk) }) else {
                    return DiskChange(kind: .add, disk: disk)
                }
                return old.looksLike(disk) ? nil : DiskChange(kind: .change, disk: disk)
            }
    }
}

extension Disk {
    /// Whether a person or a program would see no difference.
    fileprivate func looksLike(_ other: Disk) -> Bool {
        size == other.size && readOnly == other.readOnly && serial == other.serial && model == other.model
            && vendor == other.vendor && byPath == other.byPath && partitions == other.partitions
            && contents == other.contents && refusals == other.refusals
    }
}

/// Contents that were read once, for as long as the medium is the same: whoever watches looks often, and must not leave
/// another thread or process behind at each look at a disk that hangs.
package final class RememberedContents: DeviceObserver {
    private struct Known<Answer: Sendable> {
        let medium: String
        let answer: Answer
    }

    private let source: any DeviceObserver
    private let tree: FileTree
    private let contents = Mutex<[String: Known<ProbeOutcome>]>([:])
    /// nil: it did not answer.
    private let statuses = Mutex<[String: Known<LoopStatus?>]>([:])

    package init(_ source: any DeviceObserver, tree: FileTree = FileTree()) {
        self.source = source
        self.tree = tree
    }

    /// What answers is read again at the next look; what does not is left alone until its medium changes.
    package func forget() {
        contents.withLock { known in known = known.filter { $0.value.answer == .notResponding } }
        statuses.withLock { known in known = known.filter { $0.value.answer == nil } }
    }

    package func contents(of paths: [String]) -> [String: ProbeOutcome] {
        remembered(paths, contents) { source.contents(of: $0) }
    }

    package func loops(at paths: [String]) -> [String: LoopStatus] {
        remembered(paths, statuses) { new in
            let found = source.loops(at: new)
            return Dictionary(new.map { ($0, found[$0]) }, uniquingKeysWith: { first, _ in first })
        }.compactMapValues { $0 }
    }

    package func unseen(of folders: [String]) -> Set<String> {
        source.unseen(of: folders)
    }

    package func access(to paths: [String]) -> [String: ExclusiveAccess] {
        source.access(to: paths)
    }

    private func remembered<Answer: Sendable>(
        _ paths: [String],
        _ memory: borrowing Mutex<[String: Known<Answer>]>,
        _ ask: ([String]) -> [String: Answer]
    ) -> [String: Answer] {
        let media = Dictionary(paths.map { ($0, medium($0)) }, uniquingKeysWith: { first, _ in first })
        let remembered = memory.withLock { known in
            known = known.filter { media[$0.key] == $0.value.medium }
            return known.mapValues(\.answer)
        }
        let found = ask(paths.filter { remembered[$0] == nil })
        memory.withLock { known in
            for (path, answer) in found { known[path] = Known(medium: media[path] ?? "", answer: answer) }
        }
        return remembered.merging(found) { old, _ in old }
    }

    /// What tells one medium at a node from the next: the kernel's sequence number and the size.
    private func medium(_ path: String) -> String {
        let name = path.dropFirst("/dev/".count).split(separator: "/").joined(separator: "!")
        let folder = "/sys/class/block/\(name)"
        return "\(tree.number(folder + "/diskseq") ?? 0) \(tree.number(folder + "/size") ?? 0)"
    }
}

/// Reads nothing, for those who only ask which disks there are.
package struct UnreadContents: DeviceObserver {
    package init() {}

    package func loops(at paths: [String]) -> [String: LoopStatus] {
        Dictionary(paths.map { ($0, .unknown) }, uniquingKeysWith: { first, _ in first })
    }

    package func unseen(of folders: [String]) -> Set<String> {
        []
    }

    package func access(to paths: [String]) -> [String: ExclusiveAccess] {
        Dictionary(paths.map { ($0, .unknown) }, uniquingKeysWith: { first, _ in first })
    }

    package func contents(of paths: [String]) -> [String: ProbeOutcome] {
        Dictionary(paths.map { ($0, .unreadable) }, uniquingKeysWith: { first, _ in first })
    }
}
