// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What this machine looked like at one moment, as far as judging a disk needs it. Pure data: the rules read no file.
package struct SystemView: Sendable {
    package let nodes: [DeviceNumber: BlockNode]
    /// Whole disks, in the order a person counts: sda, sdb, ... sdz, sdaa.
    package let disks: [BlockNode]
    private let partitions: [DeviceNumber: [BlockNode]]
    /// Devices that did not answer when they were looked at.
    package let silent: Set<DeviceNumber>
    /// Of every mount namespace that can be seen, each mount once.
    package let mounts: [Mount]
    /// Folders that overlays stand on, and that do not hold what is shown.
    package let unseenFolders: Set<String>
    package let swaps: [Swap]
    /// Where the kernel would wake up from: /sys/power/resume, or `resume=` on its command line.
    package let resume: DeviceNumber?
    /// The same, where only the content of a disk can tell which one it is.
    package let resumeTag: MediumTag?
    /// The member devices of each btrfs that is mounted.
    package let btrfs: [Set<DeviceNumber>]
    /// Device paths and what they lead to.
    package let names: [String: DeviceNumber]
    /// The GPT partition from which the firmware took the boot loader, as the loader told: a UUID in lower case.
    package let loaderPartition: String?

    package init(
        nodes: [BlockNode],
        silent: Set<DeviceNumber> = [],
        mounts: [Mount] = [],
        unseenFolders: Set<String> = [],
        swaps: [Swap] = [],
        resume: DeviceNumber? = nil,
        resumeTag: MediumTag? = nil,
        btrfs: [Set<DeviceNumber>] = [],
        names: [String: DeviceNumber] = [:],
        loaderPartition: String? = nil
    ) {
        self.nodes = Dictionary(nodes.map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
        // Every rule asks for these of every disk: sorted once.
        disks = self.nodes.values.filter { !$0.isPartition }
            .sorted { ($0.name.count, $0.name) < ($1.name.count, $1.name) }
        partitions = Dictionary(grouping: self.nodes.values.filter { $0.parent != nil }) { $0.parent ?? $0.number }
            .mapValues { $0.sorted { ($0.start, $0.name) < ($1.start, $1.name) } }
        self.silent = silent
        self.mounts = mounts
        self.unseenFolders = unseenFolders
        self.swaps = swaps
        self.resume = resume
        self.resumeTag = resumeTag
        self.btrfs = btrfs
        self.loaderPartition = loaderPartition
        var names = names
        for node in nodes {
            names[node.path] = node.number
            if let mapperName = node.mapperName { names["/dev/mapper/" + mapperName] = node.number }
            for link in node.links { names[link] = node.number }
        }
        self.names = names
    }

    /// The partitions that the kernel has of a disk, in the order of the disk.
    package func partitions(of disk: DeviceNumber) -> [BlockNode] {
        partitions[disk] ?? []
    }

    /// Whether udev knows the partition that the boot loader came from; nil where no loader told of one.
    var isLoaderElsewhere: Bool? {
        loaderPartition.map { uuid in
            nodes.values.contains { $0.properties["ID_PART_ENTRY_UUID"]?.lowercased() == uuid }
        }
    }

    /// The block device that a loop device is over; nil where it is over a file.
    func device(below node: BlockNode) -> DeviceNumber? {
        node.loop.flatMap { loop in loop.blockDevice ?? loop.path.flatMap { names[$0] } }
    }

    package func displayName(_ number: DeviceNumber) -> String {
        nodes[number]?.displayName ?? "the device \(number)"
    }

    /// The mount that a path lies on now, as the process sees it that the mounts belong to: from the root down, at each
    /// step the nearest mount on the way.
    func mount(holding path: String, process: Int?) -> Mount? {
        let own = mounts.filter { $0.process == process && $0.covers(path) }
        let numbers = Set(own.map(\.id))
        guard
            var current = own.last(where: {
                $0.mountPoint == "/" && ($0.parent == $0.id || !numbers.contains($0.parent))
            })
        else { return nil }
        var passed = Set([current.id])
        while let next = own.filter({ $0.parent == current.id && !passed.contains($0.id) })
            .min(by: { $0.mountPoint.utf8.count < $1.mountPoint.utf8.count })
        {
            passed.insert(next.id)
            current = next
        }
        return current
    }
}

/// A medium named by what lies on it, as fstab and the kernel's command line do: `UUID=x`.
package struct MediumTag: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable {
        case uuid = "UUID"
        case label = "LABEL"
        case partitionUUID = "PARTUUID"
    }

    package let kind: Kind
    package let value: String

    package init?(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let kind = Kind(rawValue: String(parts[0])) else { return nil }
        self.kind = kind
        value = String(parts[1])
    }

    /// The link that udev makes.
    var link: String { "/dev/disk/by-\(kind.rawValue.lowercased())/\(value)" }

    /// "the disk", "partition 2": where on a disk it is.
    func places(in content: DiskContent) -> [String] {
        switch kind {
        case .uuid: content.superblocks.filter { $0.superblock.uuid == value }.map(\.place)
        case .label: content.superblocks.filter { $0.superblock.label == value }.map(\.place)
        case .partitionUUID:
            content.entries.filter { $0.uuid?.lowercased() == value.lowercased() }.map { "partition \($0.number)" }
        }
    }
}
