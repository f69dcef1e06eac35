// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// A whole disk or a partition as the kernel has it in /sys/class/block.
package struct BlockNode: Sendable, Hashable {
    /// The kernel's name, `sda1`, `cciss/c0d0`.
    package let name: String
    package let number: DeviceNumber
    /// Where it lies in sysfs, links resolved.
    package let sysfsPath: String
    /// Bytes; 0 without a medium.
    package let size: UInt64
    /// A number that the kernel gives anew to each medium; of that medium is `size`.
    package let diskseq: UInt64?
    package let isReadOnly: Bool
    /// Of a partition: its disk.
    package let parent: DeviceNumber?
    /// Of a partition: its number in the table.
    package let partitionNumber: Int?
    /// Of a partition: where it starts on the disk, bytes.
    package let start: UInt64
    /// What is built of this node: dm, md, bcache.
    package let holders: [DeviceNumber]
    /// What this node is built of.
    package let slaves: [DeviceNumber]
    package var loop: LoopBacking?
    /// The name device-mapper shows, `vg-root`.
    package let mapperName: String?
    /// udev's properties of it, empty where udevd never saw it.
    package let properties: [String: String]
    /// Links to its node that udev made.
    package let links: [String]

    package var path: String { "/dev/" + name }
    package var isPartition: Bool { partitionNumber != nil }

    /// Device-mapper's nodes are better known by another name.
    package var displayName: String { mapperName.map { "\(path) (\($0))" } ?? path }
}

/// What a loop device reads and writes. See loop(4).
package struct LoopBacking: Sendable, Hashable {
    /// As the process that attached it saw the file; nil when the kernel cannot name it.
    package var path: String?
    /// The file has no name any more.
    package var isDeleted = false
    /// Where in the file the device begins, bytes.
    package var offset: UInt64 = 0
    /// Bytes; 0 means to the end.
    package var sizeLimit: UInt64 = 0
    /// The file system that the file lies on, and the file in it: true across renames and namespaces. Root only.
    package var fileSystem: DeviceNumber?
    package var inode: UInt64?
    /// The backing is this block device itself, not a file.
    package var blockDevice: DeviceNumber?
    /// Whether the path leads to that file; nil where nobody can tell.
    package var isAtPath: Bool?
    /// The kernel detaches it when its last user goes, such as a mount.
    package var isDetachedByItself = false

    package init() {}

    /// Whether two loop devices share bytes of one file.
    func overlaps(_ other: LoopBacking) -> Bool {
        let isSameFile =
            if let inode, let otherInode = other.inode {
                inode == otherInode && fileSystem == other.fileSystem
            } else {
                path != nil && path == other.path
            }
        let end = { (backing: LoopBacking) in
            backing.sizeLimit == 0 ? UInt64.max : backing.offset &+ backing.sizeLimit
        }
        return isSameFile && offset < end(other) && other.offset < end(self)
    }
}
