// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model

/// The kernel's own list of a disk's partitions, which follows the table on the disk only when it is told to.
enum KernelPartitions {
    /// Bytes.
    struct Entry: Hashable {
        let number: Int
        let offset: UInt64
        let size: UInt64
    }

    static func list(of disk: UInt64) -> [Entry] {
        let tree = FileTree()
        let folder = folder(of: disk)
        return tree.names(in: folder).compactMap { name in
            guard let number = tree.number("\(folder)/\(name)/partition"),
                let start = tree.number("\(folder)/\(name)/start"), let size = tree.number("\(folder)/\(name)/size")
            else { return nil }
            return Entry(number: Int(number), offset: start << 9, size: size << 9)
        }
    }

    static func folder(of disk: UInt64) -> String {
        "/sys/dev/block/\(DeviceNumber(disk))"
    }

    /// The whole disk that a device is, or is a partition of; nil when it is not in sysfs any more.
    static func disk(of device: DeviceNumber) -> (number: DeviceNumber, path: String)? {
        let tree = FileTree()
        var parts = tree.resolved("/sys/dev/block/\(device)").split(separator: "/")
        if tree.exists("/" + parts.joined(separator: "/") + "/partition") { parts.removeLast() }
        guard let name = parts.last, let number = tree.text("/" + parts.joined(separator: "/") + "/dev") else {
            return nil
        }
        // A slash of a name is an exclamation mark in sysfs.
        let path = "/dev/" + name.split(separator: "!").joined(separator: "/")
        return DeviceNumber(number).map { ($0, path) }
    }

    /// - Returns: why not; a partition that is not there counts as removed.
    static func remove(_ number: Int, _ descriptor: Int32) -> Errno? {
        guard flashlayer_blkpg(descriptor, flashlayer_blkpg_delete, Int32(number), 0, 0) != 0 else { return nil }
        let error = Errno.current
        return error.value == ENXIO ? nil : error
    }

    /// Makes the kernel's list that of the table on the disk: by asking it to read the table, and by hand where it
    /// does not (a loop device without partscan gives EINVAL, others say yes and do nothing).
    ///
    /// - Parameter descriptor: exclusive, so that the kernel does not find the disk busy with ourselves.
    /// - Returns: what could not be done.
    static func reread(_ descriptor: Int32, path: String, number: UInt64) -> [String] {
        let isRead = flashlayer_blkrrpart(descriptor) == 0
        let error = Errno.current
        guard let content = try? ContentProbe(path).content() else {
            return ["\(path): the new partition table could not be read back"]
        }
        // The container of logical partitions has a node of two sectors; the kernel makes it itself or not at all.
        let wanted = Set(
            content.entries.filter { !["0x5", "0xf", "0x85"].contains($0.type) }
                .map { Entry(number: $0.number, offset: $0.offset, size: $0.size) }
        )
        var present = Set(list(of: number))
        if !isRead && (error.value == EACCES || error.value == EPERM) && present != wanted {
            return ["\(path): the kernel was not told of the new partitions, which takes root: partprobe \(path)"]
        }
        for entry in present.subtracting(wanted) where !content.isContainer(entry) {
            _ = remove(entry.number, descriptor)
        }
        present = Set(list(of: number))
        for entry in wanted.subtracting(present).sorted(by: { $0.number < $1.number }) {
            _ = flashlayer_blkpg(
                descriptor,
                flashlayer_blkpg_add,
                Int32(entry.number),
                Int64(entry.offset),
                Int64(entry.size)
            )
        }
        let missing = wanted.subtracting(list(of: number)).map(\.number).sorted()
        guard !missing.isEmpty else { return [] }
        let names = missing.map { "\($0)" }.joined(separator: ", ")
        return ["\(path): the kernel has no node for partition \(names) yet: partprobe \(path)"]
    }
}

extension DiskContent {
    fileprivate func isContainer(_ entry: KernelPartitions.Entry) -> Bool {
        entries.contains { $0.number == entry.number && $0.offset == entry.offset && $0.size != entry.size }
    }
}
