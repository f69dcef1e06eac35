// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// A reason why a device is not overwritten. The table in `docs/devices-and-safety.md` is held against these by a test.
package struct Rule: Sendable {
    package let code: ErrorCode
    /// What is wrong with the device, to be read after its name.
    package let sentence: String
    /// Whether `--allow CODE` lifts it.
    package let isOverridable: Bool
    /// What to do about it.
    package let advice: String
    /// What was seen that trips the rule, one short sentence each; empty when it passes.
    let evidence: @Sendable (Subject) -> [String]

    /// The rules that can never be lifted come first, the plainest before the rest.
    package static let all: [Rule] = [
        notBlockDevice, partition, noMedium, readOnly, noAnswer, tooSmall, systemDisk, mounted, swap, held, inUse,
        backsLoop,
        holdsSource, sectorSize, changed, internalDisk, virtual, member, large,
    ]

    /// Reads the argument of `--allow`.
    ///
    /// - Throws: `usage` for a word that is no rule, and for a rule that cannot be lifted.
    package static func allowance(_ word: String) throws -> ErrorCode {
        let overridable = all.filter(\.isOverridable).map(\.code.rawValue).joined(separator: ", ")
        guard let rule = all.first(where: { $0.code.rawValue == word }) else {
            throw FlashlayerError(.usage, "--allow \(word): there is no such rule", advice: "one of \(overridable)")
        }
        guard rule.isOverridable else {
            throw FlashlayerError(
                .usage,
                "--allow \(word): this rule cannot be lifted; a device that \(rule.sentence) is never overwritten",
                advice: "\(rule.advice); what can be lifted is \(overridable)"
            )
        }
        return rule.code
    }

    static func advice(for code: ErrorCode) -> String? {
        all.first { $0.code == code }?.advice
    }
}

// MARK: Never lifted

extension Rule {
    /// Judged where a path is resolved: what is no block device never becomes a subject.
    static let notBlockDevice = Rule(
        code: .notBlockDevice,
        sentence: "is not a block device",
        isOverridable: false,
        advice: "'flashlayer devices' lists the disks of this machine",
        evidence: { _ in [] }
    )

    static let partition = Rule(
        code: .partition,
        sentence: "is a part of a disk",
        isOverridable: false,
        advice: "name the whole disk instead",
        evidence: { subject in
            let node = subject.node
            if node.isPartition {
                let disk = node.parent.map(subject.name) ?? "another device"
                return ["it is partition \(node.partitionNumber ?? 0) of \(disk)"]
            }
            // Soldered memory keeps its boot loader in areas of its own, each with a node like a disk's.
            guard subject.hardware.transport == .mmc, let mark = ["boot", "rpmb", "gp"].first(where: node.hasSuffix)
            else { return [] }
            let end = node.path.dropLast().dropLast(mark == "rpmb" ? mark.count - 1 : mark.count)
            return ["it is a hardware area of \(end)"]
        }
    )

    static let noMedium = Rule(
        code: .noMedium,
        sentence: "has no medium",
        isOverridable: false,
        advice: "insert one",
        evidence: { subject in
            guard subject.node.size == 0 else { return [] }
            return [
                subject.hardware.transport == .loop ? "no file is attached to it" : "the kernel gives its size as 0"
            ]
        }
    )

    static let readOnly = Rule(
        code: .readOnly,
        sentence: "cannot be written",
        isOverridable: false,
        advice: "look for a switch on the medium, or set it writable: blockdev --setrw DEVICE",
        evidence: { subject in
            if subject.node.name.hasPrefix("sr") { return ["it is an optical drive"] }
            return subject.node.isReadOnly ? ["the kernel has it as read-only"] : []
        }
    )

    /// Nothing is known of it, and a write would hang as well.
    static let noAnswer = Rule(
        code: .noAnswer,
        sentence: "does not answer",
        isOverridable: false,
        advice: "pull it out and put it in again; 'dmesg' may say what is wrong with it",
        evidence: { subject in
            subject.isSilent ? ["its driver gave no answer when it was looked at"] : []
        }
    )

    static let tooSmall = Rule(
        code: .tooSmall,
        sentence: "is smaller than the image",
        isOverridable: false,
        advice: "take a larger disk, or build a smaller image ([image] size)",
        evidence: { subject in
            let size = subject.node.size
            guard let image = subject.request.imageSize, size > 0, image > size else { return [] }
            return [
                "the image has \(image) bytes (\(ByteSize.describe(image))), "
                    + "the device \(size) (\(ByteSize.describe(size)))"
            ]
        }
    )

    static let systemDisk = Rule(
        code: .systemDisk,
        sentence: "holds the running system",
        isOverridable: false,
        advice: "to overwrite this disk, start the machine from another one",
        evidence: { subject in
            let own = subject.overwritten
            var evidence = subject.system.uses.flatMap { use in
                use.isDirectSwap(on: own) ? [] : subject.ways(use.footing, use.what)
            }
            let entries = subject.content?.entries ?? []
            if let loader = subject.view.loaderPartition,
                let entry = entries.first(where: { $0.uuid?.lowercased() == loader })
            {
                evidence.append("this machine was started from its partition \(entry.number)")
            }
            if subject.content == nil, !subject.standsApart, subject.view.isLoaderElsewhere == false {
                evidence.append("it cannot be read, and may hold the partition that this machine was started from")
            }
            if subject.view.resume == nil, let tag = subject.view.resumeTag, let content = subject.content {
                evidence += tag.places(in: content).map { "\($0) set as the device to resume from" }
            }
            for use in subject.system.uses {
                evidence += subject.poolMembers(use.footing.zfsPools).map { "\($0) \(use.what)" }
            }
            if evidence.isEmpty && !subject.standsApart {
                evidence += subject.system.unknown.map { "it cannot be told which disk it is: \($0)" }
            }
            return evidence
        }
    )

    static let mounted = Rule(
        code: .mounted,
        sentence: "is mounted",
        isOverridable: false,
        advice: "unmount what is mounted from it: umount PATH",
        evidence: { subject in
            let own = subject.overwritten
            let leaving = subject.request.unmounts ? subject.unmountable : []
            var seen: Set<String> = []
            return subject.view.mounts.filter { !leaving.contains($0.id) }.flatMap { mount -> [String] in
                let places: [String]
                switch subject.view.ground(of: mount) {
                case .devices(let devices): places = devices.intersection(own).map(subject.name).sorted()
                case .zfsPool(let pool): places = subject.poolMembers([pool])
                default: return []
                }
                // Why unmounting is no help here.
                let end = own.contains(where: subject.view.goesAway) ? ", a loop device that goes away with it" : ""
                return places.map { "\($0) mounted at \(mount.mountPoint)\(end)" }
                    .filter { seen.insert($0).inserted }
                    .map { "\($0) \(mount.place)" }
            }
        }
    )

    static let swap = Rule(
        code: .swap,
        sentence: "is used as swap",
        isOverridable: false,
        advice: "take it out of use first: swapoff PATH",
        evidence: { subject in
            let own = subject.overwritten
            let files = subject.loops.compactMap { $0.loop?.path }
            return subject.system.uses.flatMap { use -> [String] in
                guard let swap = use.swap else { return [] }
                if let device = subject.view.names[swap.path], own.contains(device) {
                    return ["\(subject.name(device)) is swap (/proc/swaps)"]
                }
                guard swap.isFile else { return [] }
                if files.contains(swap.path) { return ["its backing file \(swap.path) is swap (/proc/swaps)"] }
                // Swapping to a file ends by a command, as swapping to a partition does.
                return use.isDirectSwap(on: own) ? subject.ways(use.footing, "holds the swap file \(swap.path)") : []
            }
        }
    )

    static let held = Rule(
        code: .held,
        sentence: "is part of another device",
        isOverridable: false,
        advice: "close that one first (cryptsetup close, vgchange -an, mdadm --stop)",
        evidence: { subject in
            let own = subject.overwritten
            return own.compactMap { subject.view.nodes[$0] }.flatMap { node in
                node.holders.filter { !own.contains($0) }.map { "\(subject.name($0)) is built on \(node.path)" }
            }
            .sorted()
        }
    )

    /// A device that a rule above explains is not asked: opening it exclusively would say the same in poorer words.
    static let inUse = Rule(
        code: .inUse,
        sentence: "is in use by another program",
        isOverridable: false,
        advice: "end what uses it; 'fuser -v DEVICE' may name it",
        evidence: { subject in
            (subject.busy ?? []).map { path in
                (path == subject.node.path ? "it" : path) + " cannot be opened exclusively: Device or resource busy"
            }
        }
    )

    static let backsLoop = Rule(
        code: .backsLoop,
        sentence: "is in use through a loop device",
        isOverridable: false,
        advice: "detach that one first: losetup -d DEVICE",
        evidence: { subject in
            let own = subject.overwritten
            let mine = subject.loops.compactMap(\.loop)
            // Loop devices between this one and the disk below are this one.
            return subject.view.disks.filter { !own.contains($0.number) }.compactMap { other in
                guard let loop = other.loop else { return nil }
                if let lower = subject.view.device(below: other) {
                    return own.contains(lower) ? "\(other.path) reads and writes \(subject.name(lower))" : nil
                }
                return mine.contains { $0.overlaps(loop) } ? "\(other.path) is attached to the same file" : nil
            }
        }
    )

    static let holdsSource = Rule(
        code: .holdsSource,
        sentence: "holds a file that this job needs",
        isOverridable: false,
        advice: "move the file to another disk, or choose another target",
        evidence: { subject in
            subject.request.sourceFiles.flatMap { source -> [String] in
                let loops = subject.overwritten.compactMap { subject.view.nodes[$0] }
                let backed = loops.filter { node in
                    node.loop?.inode == source.inode && node.loop?.fileSystem == source.device
                }
                if !backed.isEmpty { return backed.map { "\($0.path) is \(source.path) itself" } }
                let view = subject.view
                let footing: Footing
                if let device = source.blockDevice {
                    footing = view.footing(of: device)
                } else if let mount = view.mounts.first(where: { $0.id == source.mount }) {
                    footing = view.footing(of: mount)
                } else if !source.device.isAnonymous {
                    footing = view.footing(of: source.device)
                } else {
                    footing = Footing(unknown: ["no mount is seen that holds it"])
                }
                let found =
                    subject.ways(footing, source.blockDevice == nil ? "holds \(source.path)" : "is the source")
                    + subject.poolMembers(footing.zfsPools).map { "\($0) holds \(source.path)" }
                guard found.isEmpty, !subject.standsApart else { return found }
                return footing.unknown.prefix(1).map { "it cannot be told which disk holds \(source.path): \($0)" }
            }
        }
    )

    static let sectorSize = Rule(
        code: .sectorSize,
        sentence: "has another sector size than the image was made for",
        isOverridable: false,
        advice: "build the image for this sector size, or take another disk",
        evidence: { subject in
            let sector = subject.hardware.logicalSectorSize
            guard let table = subject.request.tableSectorSize, table != sector else { return [] }
            return ["the image's partition table counts in \(table) bytes, the device in \(sector)"]
        }
    )

    /// Judged by `Claim`, which holds the device and can compare.
    static let changed = Rule(
        code: .changed,
        sentence: "is not the device that was chosen any more",
        isOverridable: false,
        advice: "look at 'flashlayer devices' and choose again",
        evidence: { _ in [] }
    )
}

// MARK: Lifted by --allow

extension Rule {
    static let internalDisk = Rule(
        code: .internalDisk,
        sentence: "is not an external disk",
        isOverridable: true,
        advice: "take a USB disk or a card",
        evidence: { subject in
            let hardware = subject.hardware
            guard !hardware.transport.isVirtual, ![.usb, .firewire, .floppy].contains(hardware.transport),
                !hardware.isSDCard, !hardware.removable
            else { return [] }
            return ["it is attached by \(hardware.transport.rawValue) and not removable"]
        }
    )

    static let virtual = Rule(
        code: .virtual,
        sentence: "is not a physical disk",
        isOverridable: true,
        advice: "take a physical disk",
        evidence: { subject in
            let transport = subject.hardware.transport
            guard transport.isVirtual else { return [] }
            if let loop = subject.node.loop {
                return ["it is a loop device over \(loop.path ?? "a file without a name")"]
            }
            return ["it is a \(transport.rawValue) device"]
        }
    )

    static let member = Rule(
        code: .member,
        sentence: "carries a part of a RAID, pool or volume",
        isOverridable: true,
        advice: "make sure that the other parts are not needed",
        evidence: { subject in
            (subject.content?.superblocks ?? []).filter(\.superblock.isMember).map { place, superblock in
                let count = superblock.deviceCount.map { ", one of \($0) devices" } ?? ""
                return "\(place) is \(superblock.type)\(superblock.label.map { " '\($0)'" } ?? "")\(count)"
            }
        }
    )

    static let large = Rule(
        code: .large,
        sentence: "is larger than 2 TiB",
        isOverridable: true,
        advice: "make sure that it is no backup or storage disk",
        evidence: { subject in
            subject.node.size > 2 << 40 ? ["it has \(ByteSize.describe(subject.node.size))"] : []
        }
    )
}

extension Transport {
    /// Made by the kernel out of other things.
    var isVirtual: Bool {
        [.loop, .zram, .ram, .nbd, .dm, .md].contains(self)
    }
}

extension BlockNode {
    /// `mmcblk0boot1` has the suffix `boot`.
    fileprivate func hasSuffix(_ word: String) -> Bool {
        let tail = word == "rpmb" ? name[...] : name.dropLast()
        return name.hasPrefix("mmcblk") && tail.hasSuffix(word)
    }
}

extension DiskContent.Superblock {
    /// Whether it is one of several parts, or hides something that only a key shows.
    fileprivate var isMember: Bool {
        type.hasSuffix("_member") || type.hasPrefix("crypto_") || deviceCount ?? 1 > 1
            || [
                "BitLocker", "bcache", "ceph_bluestore", "drbd", "stratis", "DM_snapshot_cow",
                // Journals of file systems that lie elsewhere.
                "jbd", "xfs_external_log",
            ].contains(type)
    }
}

extension SystemUses.Use {
    /// Swap straight on the disk has a rule of its own.
    fileprivate func isDirectSwap(on own: Set<DeviceNumber>) -> Bool {
        swap != nil && footing.devices.values.contains { $0.count == 1 && own.contains($0[0]) }
    }
}

extension Subject {
    /// Where members of these ZFS pools lie on this disk. A disk that cannot be read may hold one.
    fileprivate func poolMembers(_ pools: Set<String>) -> [String] {
        guard !pools.isEmpty, !standsApart else { return [] }
        guard let content else { return ["the disk cannot be read, and may belong to a ZFS pool"] }
        return content.superblocks.compactMap { place, superblock in
            guard superblock.type == "zfs_member", let pool = superblock.label, pools.contains(pool) else { return nil }
            return "\(place), a member of the ZFS pool \(pool),"
        }
    }

    /// This device and those below it that are loop devices.
    fileprivate var loops: [BlockNode] {
        ([node.number] + below).compactMap { view.nodes[$0] }.filter { $0.loop != nil }
    }
}
