// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs

/// A file system that can be told to fill a partition that has become larger.
enum GrownFileSystem: String, Sendable {
    case ext2, ext3, ext4, xfs, btrfs

    /// Bytes from the start of a partition that tell what lies on it.
    static let probeLength: UInt64 = 68 << 10

    /// - Parameter start: of the partition.
    /// - Throws: `cannot-grow`.
    init(_ start: [UInt8], of name: String) throws {
        func has(_ magic: [UInt8], at offset: Int) -> Bool {
            start.count >= offset + magic.count && start[offset..<(offset + magic.count)].elementsEqual(magic)
        }
        if has([0x53, 0xEF], at: 1024 + 56) {
            // Extents, else a journal.
            self = start[1024 + 96] & 0x40 != 0 ? .ext4 : start[1024 + 92] & 0x04 != 0 ? .ext3 : .ext2
        } else if has(Array("XFSB".utf8), at: 0) {
            self = .xfs
        } else if has(Array("_BHRfS_M".utf8), at: 0x10040) {
            guard has([1, 0, 0, 0, 0, 0, 0, 0], at: 0x10088) else {
                throw Self.refused(name, "a btrfs over several devices")
            }
            self = .btrfs
        } else {
            throw Self.refused(name, Self.others.first { has($0.magic, at: $0.place) }?.name ?? "nothing that is known")
        }
    }

    /// What a person wants to be told of by name.
    private static let others: [(magic: [UInt8], place: Int, name: String)] = [
        (Array("LUKS".utf8), 0, "an encrypted volume"), (Array("LVM2 001".utf8), 536, "an LVM volume"),
        (Array("SWAPSPACE2".utf8), 4086, "swap"), (Array("FAT32".utf8), 82, "FAT"), (Array("FAT1".utf8), 54, "FAT"),
        (Array("NTFS".utf8), 3, "NTFS"), (Array("EXFAT".utf8), 3, "exFAT"), (Array("hsqs".utf8), 0, "squashfs"),
        ([0x10, 0x20, 0xF5, 0xF2], 1024, "F2FS"),
    ]

    private static func refused(_ name: String, _ what: String) -> FlashlayerError {
        FlashlayerError(
            .cannotGrow,
            "the last partition of \(name) cannot grow: it holds \(what)",
            advice: "leave out --grow; ext2 to ext4, xfs and btrfs can grow"
        )
    }

    /// The programs that it takes, and the Debian packages that have them.
    var programs: [(name: String, package: String)] {
        let mounting = [("unshare", "util-linux"), ("mount", "mount"), ("umount", "mount")]
        return switch self {
        case .ext2, .ext3, .ext4: [("e2fsck", "e2fsprogs"), ("resize2fs", "e2fsprogs")]
        case .xfs: [("xfs_growfs", "xfsprogs")] + mounting
        case .btrfs: [("btrfs", "btrfs-progs")] + mounting
        }
    }

    /// - Throws: `unavailable`.
    func confirmPrograms() throws {
        for program in programs { _ = try Program(program.name, debianPackage: program.package) }
    }
}
