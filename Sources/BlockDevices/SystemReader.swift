// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// Reads a `SystemView` from sysfs, procfs and a catalog of devices.
struct SystemReader {
    let tree: FileTree
    let catalog: any DeviceCatalog
    let observer: any DeviceObserver

    func read() throws -> SystemView {
        var nodes = readNodes(try catalog.entries())
        let silent = askLoops(&nodes)
        let mounts = readMounts()
        let swaps = (tree.text("/proc/swaps") ?? "").split(separator: "\n").compactMap { Swap(line: $0) }.map { swap in
            var swap = swap
            swap.isThere = !swap.isFile || tree.exists(swap.path)
            return swap
        }
        var view = SystemView(nodes: nodes)
        // Names that only this machine's /dev can resolve, such as /dev/root or a link by UUID.
        let unresolved = (mounts.filter(\.device.isAnonymous).map(\.source) + swaps.map(\.path))
            .filter { $0.hasPrefix("/") && view.names[$0] == nil }
        let found = unresolved.compactMap { path in deviceNumber(of: path).map { (path, $0) } }
        view = SystemView(
            nodes: nodes,
            silent: silent,
            mounts: mounts,
            unseenFolders: readUnseenFolders(mounts),
            swaps: swaps,
            resume: resume(view),
            resumeTag: resumeWord.flatMap { MediumTag($0) },
            btrfs: readBtrfs(view),
            names: Dictionary(found, uniquingKeysWith: { first, _ in first }),
            loaderPartition: readLoaderPartition()
        )
        return view
    }

    private func readNodes(_ entries: [CatalogEntry]) -> [BlockNode] {
        let numbered = entries.compactMap { entry in
            tree.text(entry.sysfsPath + "/dev").flatMap { DeviceNumber($0) }.map { (entry, $0) }
        }
        // Partitions know no other parent than the folder that they lie in.
        let numbers = Dictionary(numbered.map { ($0.sysfsPath, $1) }, uniquingKeysWith: { first, _ in first })
        let byName = Dictionary(numbers.map { ($0.lastComponent, $1) }, uniquingKeysWith: { first, _ in first })
        return numbered.map { entry, number in
            let path = entry.sysfsPath
            // Dozens of loop devices are there to be had on many machines: one without a file says no more than that.
            if path.lastComponent.hasPrefix("loop"), tree.number(path + "/size") == 0,
                !tree.exists(path + "/loop/backing_file")
            {
                return BlockNode(empty: path.lastComponent, number, entry)
            }
            let partition = tree.number(path + "/partition").map { Int($0) }
            let medium = readMedium(path)
            let name = path.lastComponent.split(separator: "!").joined(separator: "/")
            return BlockNode(
                name: name,
                number: number,
                sysfsPath: path,
                size: medium.size,
                diskseq: medium.diskseq,
                isReadOnly: tree.flag(path + "/ro"),
                parent: partition == nil ? nil : numbers[path.parentFolder],
                partitionNumber: partition,
                start: (tree.number(path + "/start") ?? 0) << 9,
                holders: tree.names(in: path + "/holders").compactMap { byName[$0] },
                slaves: (tree.names(in: path + "/slaves") + zramBacking(path)).compactMap { byName[$0] },
                loop: readLoop(path),
                mapperName: tree.text(path + "/dm/name"),
                properties: entry.properties,
                links: entry.links
            )
        }
    }

    /// Size and sequence number of one medium: a disk that is being swapped or detached has one of each for a moment.
    private func readMedium(_ path: String) -> (size: UInt64, diskseq: UInt64?) {
        var diskseq = tree.number(path + "/diskseq")
        while true {
            // The kernel counts in 512 bytes here whatever the sector is.
            let size = (tree.number(path + "/size") ?? 0) << 9
            let after = tree.number(path + "/diskseq")
            if after == diskseq { return (size, diskseq) }
            diskseq = after
        }
    }

    /// zram can move pages that do not compress to a disk, which it names by its node.
    private func zramBacking(_ path: String) -> [String] {
        tree.text(path + "/backing_dev").map { [$0.lastComponent] } ?? []
    }

    private func readLoop(_ path: String) -> LoopBacking? {
        guard tree.exists(path + "/loop"), let file = tree.text(path + "/loop/backing_file") else { return nil }
        var backing = LoopBacking()
        let mark = " (deleted)"
        backing.isDeleted = file.hasSuffix(mark)
        backing.path = backing.isDeleted ? String(file.dropLast(mark.count)) : file
        backing.offset = tree.number(path + "/loop/offset") ?? 0
        backing.isDetachedByItself = tree.flag(path + "/loop/autoclear")
        backing.sizeLimit = tree.number(path + "/loop/sizelimit") ?? 0
        return backing
    }

    /// What only the driver knows: which file of which file system it has, whatever its name is now.
    ///
    /// - Returns: the loop devices that do not answer.
    private func askLoops(_ nodes: inout [BlockNode]) -> Set<DeviceNumber> {
        let answers = observer.loops(at: nodes.filter { $0.loop != nil }.map(\.path))
        var silent: Set<DeviceNumber> = []
        for index in nodes.indices {
            guard var backing = nodes[index].loop else { continue }
            guard let answer = answers[nodes[index].path] else {
                silent.insert(nodes[index].number)
                continue
            }
            guard case .backed(let fileSystem, let inode, let device, let isAtPath) = answer else { continue }
            backing.fileSystem = DeviceNumber(fileSystem)
            backing.inode = inode
            if device != 0 { backing.blockDevice = DeviceNumber(device) }
            backing.isAtPath = isAtPath
            nodes[index].loop = backing
        }
        return silent
    }

    /// Lower folders of overlays that are not there, or are empty: what the overlay shows lies elsewhere, below another
    /// mount or on one that was detached.
    private func readUnseenFolders(_ mounts: [Mount]) -> Set<String> {
        guard tree.isThisMachine else { return [] }
        let folders = mounts.filter { $0.process == nil && $0.isSystem }.flatMap(\.lowerFolders)
        return observer.unseen(of: folders)
    }

    /// Ours first, then the first process's, then one process of each other namespace.
    private func readMounts() -> [Mount] {
        var seen: Set<Int> = []
        var mounts: [Mount] = []
        func add(_ folder: String, process: Int?) {
            let text = tree.bytes(folder + "/mountinfo").map { String(decoding: $0, as: UTF8.self) } ?? ""
            for line in text.split(separator: "\n") {
                guard let mount = Mount(line: line, process: process), seen.insert(mount.id).inserted else { continue }
                mounts.append(mount)
            }
        }
        add("/proc/self", process: nil)
        add("/proc/1", process: 1)
        var namespaces: Set<String?> = [
            tree.linkText("/proc/self/ns/mnt"), tree.linkText("/proc/1/ns/mnt"), nil,
        ]
        for process in tree.names(in: "/proc").compactMap({ Int($0) }).sorted() {
            guard namespaces.insert(tree.linkText("/proc/\(process)/ns/mnt")).inserted else { continue }
            add("/proc/\(process)", process: process)
        }
        return mounts
    }

    private func resume(_ view: SystemView) -> DeviceNumber? {
        if let text = tree.text("/sys/power/resume"), let number = DeviceNumber(text), !number.isAnonymous {
            return number
        }
        guard let word = resumeWord else { return nil }
        let path = MediumTag(word)?.link ?? word
        return view.names[path] ?? deviceNumber(of: path)
    }

    /// The value of `resume=` on the kernel's command line.
    private var resumeWord: String? {
        (tree.text("/proc/cmdline") ?? "").split(separator: " ").last { $0.hasPrefix("resume=") }
            .map { String($0.dropFirst("resume=".count)) }
    }

    private func readBtrfs(_ view: SystemView) -> [Set<DeviceNumber>] {
        tree.names(in: "/sys/fs/btrfs").map { uuid in
            Set(tree.names(in: "/sys/fs/btrfs/\(uuid)/devices").compactMap { view.names["/dev/" + $0] })
        }
        .filter { !$0.isEmpty }
    }

    /// Left by boot loaders that keep to the Boot Loader Interface: four bytes of attributes, then UTF-16.
    private func readLoaderPartition() -> String? {
        let name = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        guard let bytes = tree.bytes("/sys/firmware/efi/efivars/" + name), bytes.count > 4 else { return nil }
        let ascii = bytes[4...].enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
        return String(decoding: ascii.prefix { $0 > 0x20 }, as: UTF8.self).lowercased()
    }

    private func deviceNumber(of path: String) -> DeviceNumber? {
        // Not elsewhere: a mount's source may be any path, and lie on a file system that does not answer.
        guard tree.isThisMachine, path.hasPrefix("/dev/"), !path.split(separator: "/").contains("..") else {
            return nil
        }
        var status = stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFBLK else { return nil }
        return DeviceNumber(UInt64(status.st_rdev))
    }
}

extension BlockNode {
    /// A loop device that no file is attached to.
    fileprivate init(empty name: String, _ number: DeviceNumber, _ entry: CatalogEntry) {
        self.init(
            name: name,
            number: number,
            sysfsPath: entry.sysfsPath,
            size: 0,
            diskseq: nil,
            isReadOnly: false,
            parent: nil,
            partitionNumber: nil,
            start: 0,
            holders: [],
            slaves: [],
            loop: nil,
            mapperName: nil,
            properties: entry.properties,
            links: entry.links
        )
    }
}

extension String {
    fileprivate var lastComponent: String { split(separator: "/").last.map(String.init) ?? self }
    fileprivate var parentFolder: String { "/" + split(separator: "/").dropLast().joined(separator: "/") }
}
