// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// What the rules mean to a person: `explain` and docs/safety.md are made of these words.
extension Rule {
    /// What is well when the rule has nothing to say, as a sentence without a full stop.
    package var wellness: String {
        switch code {
        case .notBlockDevice: "it is a block device"
        case .partition: "it is a whole disk"
        case .noMedium: "there is a medium"
        case .readOnly: "the kernel lets it be written"
        case .noAnswer: "it answers"
        case .tooSmall: "the image fits"
        case .systemDisk: "nothing that this system runs from lies on it"
        case .mounted: "nothing of it is mounted"
        case .swap: "nothing of it is swap"
        case .held: "nothing is built on it"
        case .inUse: "it could be opened exclusively"
        case .backsLoop: "no loop device uses it"
        case .holdsSource: "nothing that the job needs lies on it"
        case .sectorSize: "the image was made for its sector size"
        case .changed: "it is the device that was chosen"
        case .internalDisk: "it is external"
        case .virtual: "it is a physical disk"
        case .member: "it carries no part of a RAID, pool or volume"
        case .large: "it has at most 2 TiB"
        default: "nothing speaks against it"
        }
    }

    /// Why there is such a rule and how it is judged; nil for a rule that says it all in its sentence.
    package var meaning: String? {
        switch code {
        case .notBlockDevice:
            "A slip of the finger names a file or a folder. Images are written to disks; a file can be attached as a "
                + "loop device. Links such as those in /dev/disk are followed."
        case .partition:
            "An image brings its own partition table, so the target is always the whole disk. The areas that soldered "
                + "memory boots from (`mmcblk0boot0`) are parts of their disk as well."
        case .noMedium:
            "An empty slot of a card reader, or a loop device without a file."
        case .readOnly:
            "A switch on the medium, `blockdev --setro`, an optical drive."
        case .noAnswer:
            "Its driver hangs: it gave no answer, and for three seconds no other device did. Devices are looked at from "
                + "a process of its own, so one that hangs holds up no other."
        case .tooSmall:
            "Asked where the size of the image is known before it is read; of a stream it turns out later, as "
                + "`image-too-large`."
        case .systemDisk:
            "What is mounted at /, /usr, /var, /boot, /efi, /etc, /home, /opt and /root, and below the first of these but "
                + "/home and /root (/var/tmp left out), by this process and by the first one, swap and the device to resume from are followed down through device-mapper (LVM, LUKS, multipath), md, bcache, "
                + "btrfs, ZFS, overlay file systems and loop files to the disks below. The EFI system partition that the boot "
                + "loader names counts, mounted or not. What cannot be followed may lie on any disk, and refuses them all; a "
                + "root in memory or on the network lies on none. A path is followed as it was followed when the overlay was "
                + "mounted or the file attached: what was mounted over it since does not count."
        case .mounted:
            "In any mount namespace that /proc shows, those of containers and services too."
        case .swap:
            "Straight on the disk, on a partition of it, or in a file there."
        case .held:
            "LVM, RAID, encryption, multipath or a cache is built on it, as the kernel's `holders` tell."
        case .inUse:
            "The kernel gives a device exclusively (O_EXCL) to one holder, mounts, swap and other tools included, in all "
                + "namespaces. It is opened so for a moment, by commands that write and by `explain`; never to list."
        case .backsLoop:
            "A loop device over it, or over the same file as it, would go on reading and writing behind our back. Loop "
                + "devices over loop devices are followed to the end."
        case .holdsSource:
            "The image, what it is based on, the cache or the report lies on it. Files are recognised by file system and "
                + "inode, not by name; where it cannot be told which disk holds one, every physical disk is refused."
        case .sectorSize:
            "A partition table counts in sectors: made for 512 bytes it is nonsense on a disk with 4096, and the other way "
                + "round."
        case .changed:
            "Number, size, serial and the kernel's disk sequence number are compared with the choice when the disk is "
                + "claimed, before the first write and before the read-back."
        case .internalDisk:
            "What is neither on USB or FireWire, nor a card, nor removable. Soldered memory is internal; virtual devices "
                + "have a rule of their own."
        case .virtual:
            "Loop devices, zram, RAM disks, nbd, device-mapper, md."
        case .member:
            "Signatures of RAID, LVM, encryption, ZFS and the like, one of several devices of a btrfs, the journal of a "
                + "file system elsewhere: what looks empty may be half of something."
        case .large:
            "Sticks and boot disks are smaller; large disks are where backups live."
        default: nil
        }
    }

    /// The page docs/safety.md.
    package static var page: String {
        var lines = [
            "# The rules",
            "",
            "Which disks flashlayer overwrites, and which it never does. This page is printed by the program from the rules "
                + "that it asks (`make docs`). How a disk is held once it is chosen is in "
                + "[Devices and safety](devices-and-safety.md).",
            "",
            "    flashlayer explain /dev/sdb",
            "",
            "asks all of them of one disk and shows what each one saw. `devices`, `write`, `verify` and `build-and-write` ask "
                + "the same rules. A refusal ends with status 77 and changes nothing.",
            "",
            "| rule | a device that | lifted by |",
            "|---|---|---|",
        ]
        lines += all.map { "| [`\($0.code.rawValue)`](#\($0.code.rawValue)) | \($0.sentence) | \($0.lifting) |" }
        for rule in all {
            lines += ["", "## \(rule.code.rawValue)", "", "A device that \(rule.sentence)."]
            if let meaning = rule.meaning { lines += ["", meaning] }
            lines += ["", "Lifted by: \(rule.lifting). What to do: \(rule.advice)."]
        }
        return lines.joined(separator: "\n")
    }

    private var lifting: String { isOverridable ? "`--allow \(code.rawValue)`" : "never" }
}
