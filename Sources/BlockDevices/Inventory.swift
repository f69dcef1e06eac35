// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model

/// The disks of this machine at one moment. It is taken once, and every answer comes from the same picture.
package struct Inventory: Sendable {
    private let isThisMachine: Bool
    private let observer: any DeviceObserver
    package let view: SystemView
    private let system: SystemUses
    private let hardware: [DeviceNumber: HardwareFacts]

    /// Looks at this machine. Blocks for as long as sysfs and procfs take.
    ///
    /// - Throws: `unavailable` when the devices cannot be listed.
    package init() throws {
        try self.init(tree: FileTree(), catalog: UdevCatalog(), observer: ObserverProcess())
    }

    /// Looks at another machine, laid out in a folder.
    package init(tree: FileTree, catalog: any DeviceCatalog, observer: any DeviceObserver) throws {
        isThisMachine = tree.isThisMachine
        self.observer = observer
        view = try SystemReader(tree: tree, catalog: catalog, observer: observer).read()
        system = SystemUses(view)
        hardware = view.nodes.filter { !$0.value.isPartition }.mapValues { HardwareFacts($0, tree) }
    }

    /// All whole disks, judged without an image. What has no size because nothing is attached to it, such as a free
    /// loop device, is left out; an empty card reader is a disk without a medium.
    ///
    /// - Parameter isRead: whether their contents are read; what a disk is can be told without.
    package func disks(read isRead: Bool = true) -> [Disk] {
        let nodes = view.disks.filter { $0.size > 0 || !(hardware[$0.number]?.transport.isVirtual ?? false) }
        let found = isRead ? observer.contents(of: nodes.filter { isProbed($0) }.map(\.path)) : [:]
        return nodes.map { node in
            let outcome = outcome(node, found)
            let subject = subject(node, outcome)
            return disk(subject, outcome)
        }
    }

    /// The disk behind a path; links such as those in /dev/disk/by-id are followed.
    ///
    /// - Throws: `notFound`; `notBlockDevice` or `partition`, which names the disk to take instead.
    package func disk(at path: String) throws -> Disk {
        let node = try node(at: path)
        if node.isPartition {
            let evidence = Rule.partition.evidence(subject(node, .unreadable))
            throw Refusal(.partition, path: node.path, evidence: evidence).error
        }
        let found = isProbed(node) ? observer.contents(of: [node.path]) : [:]
        let outcome = outcome(node, found)
        let subject = subject(node, outcome)
        return disk(subject, outcome, path: reachable(node, by: path))
    }

    /// The kernel's name for the node, unless /dev has it under another one only, as in some containers.
    private func reachable(_ node: BlockNode, by path: String) -> String {
        var status = stat()
        guard isThisMachine, unsafe stat(node.path, &status) != 0 || UInt64(status.st_rdev) != node.number.rawValue,
            let resolved = unsafe realpath(path, nil)
        else { return node.path }
        // SAFETY: realpath allocated the string for us.
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    /// Judges a disk as a target. It is opened exclusively for a moment, where nothing else refuses it.
    package func refusals(of disk: Disk, for request: WriteRequest) -> [Refusal] {
        var subject = disk.subject
        subject.request = request
        let found = subject.refusals
        guard !found.contains(where: { !$0.overridable }) else { return found }
        // It is busy with what is yet to be unmounted; whoever does that judges once more.
        guard !request.unmounts || subject.unmounting.isEmpty else { return found }
        open(&subject)
        return subject.refusals
    }

    /// Opens a disk exclusively for a moment, and what it lies on: a loop device does not claim what it is over, and
    /// whoever has that would not be seen.
    func open(_ subject: inout Subject) {
        guard isThisMachine, subject.node.size > 0 else { return }
        let paths = [subject.node.path] + subject.below.compactMap { view.nodes[$0]?.path }
        let answers = observer.access(to: paths)
        if answers[subject.node.path] != .unknown { subject.busy = paths.filter { answers[$0] == .inUse } }
        if paths.contains(where: { answers[$0] == nil }) { subject.isSilent = true }
    }

    /// A floppy drive, which many virtual machines seem to have, takes seconds to say that it is empty.
    private func isProbed(_ node: BlockNode) -> Bool {
        node.size > 0 && hardware[node.number]?.transport != .floppy && !view.silent.contains(node.number)
    }

    private func outcome(_ node: BlockNode, _ found: [String: ProbeOutcome]) -> ProbeOutcome {
        view.silent.contains(node.number) ? .notResponding : found[node.path] ?? .unreadable
    }

    private func subject(_ node: BlockNode, _ outcome: ProbeOutcome) -> Subject {
        var subject = Subject(
            node: node,
            view: view,
            system: system,
            hardware: hardware[node.number] ?? HardwareFacts(),
            content: outcome.content
                ?? DiskContent(udev: node.properties, partitions: view.partitions(of: node.number))
        )
        subject.isSilent = outcome == .notResponding
        return subject
    }

    private func node(at path: String) throws -> BlockNode {
        if let number = view.names[path], let node = view.nodes[number], !isThisMachine { return node }
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            let error = Errno.current
            throw FlashlayerError(
                error.value == EACCES ? .notPermitted : .notFound,
                "there is no device \(path): \(error)",
                advice: Rule.notBlockDevice.advice
            )
        }
        guard status.st_mode & S_IFMT == S_IFBLK else {
            let kind =
                switch status.st_mode & S_IFMT {
                case S_IFREG: "it is a file; attach it as a loop device to write to it: losetup --find --show \(path)"
                case S_IFDIR: "it is a folder"
                case S_IFCHR: "it is a character device"
                default: "it is something else"
                }
            throw Refusal(.notBlockDevice, path: path, evidence: [kind]).error
        }
        let number = DeviceNumber(UInt64(status.st_rdev))
        guard let node = view.nodes[number] else {
            throw FlashlayerError(
                .notFound,
                "the device \(path) (\(number)) is not in /sys",
                advice: "it was pulled out, or /sys is not that of this machine"
            )
        }
        return node
    }

    private func disk(_ subject: Subject, _ outcome: ProbeOutcome, path: String? = nil) -> Disk {
        let node = subject.node
        let hardware = subject.hardware
        return Disk(
            path: path ?? node.path,
            diskseq: node.diskseq,
            size: node.size,
            logicalSectorSize: hardware.logicalSectorSize,
            physicalSectorSize: hardware.physicalSectorSize,
            vendor: hardware.vendor,
            model: hardware.model,
            serial: hardware.serial,
            wwn: hardware.wwn,
            transport: hardware.transport,
            removable: hardware.removable,
            rotational: hardware.rotational,
            readOnly: node.isReadOnly,
            byPath: hardware.byPath,
            port: hardware.port,
            linkSpeed: hardware.linkSpeed,
            partitions: partitions(subject),
            holders: view.holders(
                of: [node.number] + view.partitions(of: node.number).map(\.number),
                pools: subject.content?.zfsPools ?? [],
                kinds: { (self.hardware[$0]?.transport ?? .unknown).rawValue }
            ),
            health: hardware.health,
            contents: outcome == .notResponding
                ? "not responding"
                : node.size == 0 ? nil : (subject.content ?? mountedContent(of: node))?.summary,
            refusals: subject.refusals,
            subject: subject
        )
    }

    /// What the table on the disk says, with the kernel's nodes where it has them; the kernel's own list where the
    /// disk could not be read.
    private func partitions(_ subject: Subject) -> [Disk.Partition] {
        let nodes = view.partitions(of: subject.node.number)
        let entries = subject.content?.entries ?? nodes.map { mountedEntry($0) }
        return entries.sorted { ($0.offset, $0.number) < ($1.offset, $1.number) }.map { entry in
            let node = nodes.first { $0.partitionNumber == entry.number && $0.start == entry.offset }
            return Disk.Partition(
                path: node?.path,
                number: entry.number,
                offset: entry.offset,
                size: entry.size,
                type: entry.type,
                fsType: entry.superblock?.type,
                label: entry.superblock?.label,
                uuid: entry.superblock?.uuid,
                mountPoints: node.map { view.mountPoints(ofAny: [$0.number]) } ?? []
            )
        }
    }

    /// What is known without reading the disk; nil where nothing of it is mounted.
    private func mountedContent(of node: BlockNode) -> DiskContent? {
        let entries = view.partitions(of: node.number).map { mountedEntry($0) }
        let content = DiskContent(
            superblock: mountedSuperblock(of: node),
            table: entries.isEmpty ? nil : "unknown",
            entries: entries
        )
        return content.superblocks.isEmpty ? nil : content
    }

    private func mountedEntry(_ node: BlockNode) -> DiskContent.Entry {
        .init(
            number: node.partitionNumber ?? 0,
            offset: node.start,
            size: node.size,
            superblock: mountedSuperblock(of: node)
        )
    }

    private func mountedSuperblock(of node: BlockNode) -> DiskContent.Superblock? {
        view.mounts.first { view.ground(of: $0) == .devices([node.number]) }.map { .init(type: $0.fileSystem) }
    }
}
