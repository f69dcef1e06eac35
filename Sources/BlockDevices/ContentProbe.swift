// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CBlkid
import Glibc
import Model

/// Reads what lies on a disk with libblkid, without mounting anything and without partition nodes.
///
/// The call blocks as long as the disk does: whoever lists many disks runs it where it can be left behind.
@safe
package struct ContentProbe: ~Copyable {
    // SAFETY: the probe is ours alone from blkid_new_probe to blkid_free_probe; strings are copied before the next call.
    private let probe: OpaquePointer
    private let descriptor: Int32

    /// - Parameter path: a disk's node. It is opened read-only, not exclusively, and not waited for.
    /// - Throws: `notPermitted`, `ioError`.
    package init(_ path: String) throws {
        descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw FlashlayerError.system("open \(path)", .current, code: .noMedium) }
        guard let probe = unsafe blkid_new_probe() else {
            close(descriptor)
            throw FlashlayerError(.unavailable, "libblkid gives no probe")
        }
        unsafe self.probe = probe
    }

    deinit {
        unsafe blkid_free_probe(probe)
        close(descriptor)
    }

    /// - Throws: `ioError` when the disk cannot be read.
    package func content() throws -> DiskContent {
        var content = try probe(offset: 0, size: 0, table: true)
        for index in content.entries.indices {
            let entry = content.entries[index]
            // The container of logical partitions holds no data of its own, and its first bytes are their table.
            guard entry.size > 1024, !["0x5", "0xf", "0x85"].contains(entry.type) else { continue }
            // A partition that cannot be read is a partition of which nothing is known.
            let inner = try? probe(offset: entry.offset, size: entry.size, table: false)
            content.entries[index].superblock = inner?.superblock
        }
        return content
    }

    private func probe(offset: UInt64, size: UInt64, table: Bool) throws -> DiskContent {
        guard unsafe blkid_probe_set_device(probe, descriptor, blkid_loff_t(offset), blkid_loff_t(size)) == 0 else {
            throw FlashlayerError(.ioError, "the device cannot be probed: \(Errno.current)")
        }
        unsafe blkid_probe_enable_superblocks(probe, 1)
        unsafe blkid_probe_set_superblocks_flags(
            probe,
            BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID | BLKID_SUBLKS_USAGE
        )
        unsafe blkid_probe_enable_partitions(probe, table ? 1 : 0)
        unsafe blkid_probe_set_partitions_flags(probe, BLKID_PARTS_ENTRY_DETAILS)
        var content = DiskContent()
        // One chain after the other: -2 (several superblocks contradict each other) still says that there are some.
        let status = unsafe blkid_do_safeprobe(probe)
        guard status != -1 else { throw FlashlayerError(.ioError, "the device cannot be read: \(Errno.current)") }
        if let type = value("TYPE") {
            let count = type == "btrfs" ? btrfsDeviceCount(at: offset) : nil
            content.superblock = .init(type: type, label: value("LABEL"), uuid: value("UUID"), deviceCount: count)
        } else if status == -2 {
            content.superblock = .init(type: "ambiguous")
        }
        guard table else { return content }
        content.table = value("PTTYPE")
        guard let list = unsafe blkid_probe_get_partitions(probe) else { return content }
        for index in 0..<max(0, unsafe blkid_partlist_numof_partitions(list)) {
            guard let partition = unsafe blkid_partlist_get_partition(list, index) else { continue }
            let guid = unsafe blkid_partition_get_type_string(partition).map { unsafe String(cString: $0) }
            let kind = unsafe blkid_partition_get_type(partition)
            content.entries.append(
                .init(
                    number: Int(unsafe blkid_partition_get_partno(partition)),
                    // libblkid counts in 512 bytes whatever the sector is.
                    offset: UInt64(max(0, unsafe blkid_partition_get_start(partition))) << 9,
                    size: UInt64(max(0, unsafe blkid_partition_get_size(partition))) << 9,
                    type: guid ?? "0x" + String(kind, radix: 16),
                    uuid: unsafe blkid_partition_get_uuid(partition).map { unsafe String(cString: $0) }
                )
            )
        }
        return content
    }

    /// `num_devices` of the first superblock, which libblkid leaves out. See btrfs(5), and `btrfs_super_block` of the
    /// kernel's btrfs_tree.h.
    private func btrfsDeviceCount(at offset: UInt64) -> UInt64? {
        var count: UInt64 = 0
        let place = off_t(offset) + 0x10000 + 0x88
        let read = unsafe withUnsafeMutableBytes(of: &count) { unsafe pread(descriptor, $0.baseAddress, 8, place) }
        return read == 8 ? UInt64(littleEndian: count) : nil
    }

    private func value(_ name: String) -> String? {
        var start: UnsafePointer<CChar>?
        guard unsafe blkid_probe_lookup_value(probe, name, &start, nil) == 0, let start = unsafe start else {
            return nil
        }
        let text = unsafe String(cString: start)
        return text.isEmpty ? nil : text
    }
}

extension DiskContent {
    /// What udevd found when it probed: for those who may not open the disk themselves.
    init?(udev properties: [String: String], partitions: [BlockNode]) {
        guard properties["ID_PART_TABLE_TYPE"] != nil || properties["ID_FS_TYPE"] != nil else { return nil }
        self.init(
            superblock: Superblock(udev: properties),
            table: properties["ID_PART_TABLE_TYPE"],
            entries: partitions.map { node in
                Entry(
                    number: node.partitionNumber ?? 0,
                    offset: node.start,
                    size: node.size,
                    type: node.properties["ID_PART_ENTRY_TYPE"],
                    uuid: node.properties["ID_PART_ENTRY_UUID"],
                    superblock: Superblock(udev: node.properties)
                )
            }
        )
    }
}

extension DiskContent.Superblock {
    fileprivate init?(udev properties: [String: String]) {
        guard let type = properties["ID_FS_TYPE"] else { return nil }
        self.init(
            type: type,
            label: properties["ID_FS_LABEL_ENC"].map(UdevEscapes.decode) ?? properties["ID_FS_LABEL"],
            uuid: properties["ID_FS_UUID"]
        )
    }
}
