// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

extension DiskContent {
    /// The operating system, as far as a label or the type of a partition names it; nil when nothing does. No file system
    /// is opened for it: what a root file system without a telling label holds is not known.
    package var system: String? {
        for entry in entries {
            if let system = Self.types[entry.type?.lowercased() ?? ""] { return system }
        }
        let labels = superblocks.compactMap { $0.superblock.label?.lowercased() }
        return Self.words.first { word in labels.contains { $0.contains(word.part) } }?.system
    }

    /// Partitions that only one system makes.
    private static let types = [
        "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows",
        "7c3457ef-0000-11aa-aa11-00306543ecac": "macOS",
        "fe3a2a5d-4f32-41a7-b725-accc3285a309": "ChromeOS",
        "516e7cb6-6ecf-11d6-8ff8-00022d09712b": "FreeBSD",
    ]

    /// What distributions call their media and root file systems.
    private static let words: [(part: String, system: String)] = [
        ("debian", "Debian"), ("d-live", "Debian"), ("ubuntu", "Ubuntu"), ("cloudimg-rootfs", "Ubuntu"),
        ("fedora", "Fedora"), ("centos", "CentOS"), ("rocky", "Rocky Linux"), ("almalinux", "AlmaLinux"),
        ("opensuse", "openSUSE"), ("arch_", "Arch Linux"), ("alpine", "Alpine Linux"), ("proxmox", "Proxmox"),
        ("raspios", "Raspberry Pi OS"), ("windows", "Windows"),
    ]
}
