// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CGuestfs
import Layers
import Model

/// Lets the root partition and its file system take the whole disk at the first boot, by what the guest has for it.
struct FirstBootGrowth {
    let guest: GuestfsHandle

    enum Answer {
        case steps(GuestCommand)
        /// The rest of a sentence: "the root file system will not grow at first boot: ".
        case impossible(String)
    }

    /// The guest is mounted.
    func answer(_ mounts: [GuestFacts.Mount]) throws -> Answer {
        let root: RootVolume
        do {
            root = try RootVolume(mounts, in: guest)
        } catch let obstacle as RootVolume.Obstacle {
            return .impossible("it \(obstacle.text)")
        }
        // Room that is left in a volume group is often left on purpose, for snapshots and other volumes.
        guard root.volumeGroup == nil else {
            return .impossible("it is an LVM volume; lvextend --resizefs enlarges it when that is wanted")
        }
        if let obstacle = try root.obstacleToGrowing(in: guest) { return .impossible("its partition \(obstacle)") }
        let type = try unsafe guest.string { unsafe guestfs_vfs_type($0, root.mountable) }
        guard GrowRoot.growing.contains(type) else { return .impossible("it is \(type)") }
        guard let growfs = try first(["/usr/lib/systemd/systemd-growfs", "/lib/systemd/systemd-growfs"]) else {
            return .impossible("the guest has no systemd-growfs")
        }
        if try isMarkedAsRoot(root), try first(["/usr/bin/systemd-repart", "/bin/systemd-repart"]) != nil {
            return .steps(command(Self.byRepart))
        }
        if let program = try first(["/usr/bin/growpart", "/usr/sbin/growpart"]) {
            return .steps(command(Self.byUnit("\(program) \"/dev/$disk\" \"$number\" || true", growfs)))
        }
        // sfdisk knows the end of an MBR disk by itself; a GPT says where it ends, and says it of the image.
        if root.tableType == "msdos", let program = try first(["/usr/sbin/sfdisk", "/sbin/sfdisk"]) {
            let grow = """
                echo ', +' | \(program) --quiet --no-reread --force -N "$number" "/dev/$disk"
                partx --update --nr "$number" "/dev/$disk"
                """
            return .steps(command(Self.byUnit(grow, growfs)))
        }
        return .impossible(
            root.tableType == "gpt"
                ? "its partition is not marked as a root partition, or there is no systemd-repart; and no growpart either"
                : "the guest has neither growpart nor sfdisk"
        )
    }

    private func first(_ programs: [String]) throws -> String? {
        try programs.first { program in try unsafe guest.ask { unsafe guestfs_exists($0, program) } }
    }

    /// systemd-repart(8) enlarges a partition whose type says that it is the root, and would make a new one if there were
    /// none: so it is only told to where the root has that type.
    private func isMarkedAsRoot(_ root: RootVolume) throws -> Bool {
        guard root.tableType == "gpt" else { return false }
        let type = try unsafe guest.string { unsafe guestfs_part_get_gpt_type($0, root.disk, root.number) }
        // root-x86-64 of the Discoverable Partitions Specification.
        return type.uppercased() == "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
    }

    private func command(_ shell: String) -> GuestCommand {
        GuestCommand(shell: shell, source: "finish", title: "letting the root file system grow at first boot")
    }

    /// The partition by systemd-repart, the file system by systemd-growfs; see systemd.mount(5).
    private static let byRepart = """
        mkdir -p /etc/repart.d
        [ -e /etc/repart.d/50-root.conf ] || printf '[Partition]\\nType=root\\n' > /etc/repart.d/50-root.conf
        awk '
            !/^[ \\t]*#/ && NF >= 4 && $2 == "/" && $4 !~ /x-systemd.growfs/ { $4 = $4 ",x-systemd.growfs" }
            { print }
        ' /etc/fstab > \(GuestFolder.scratch)/fstab
        cat \(GuestFolder.scratch)/fstab > /etc/fstab
        """

    /// A unit of its own, which finds out by itself what the root is. It is quick where there is nothing to do, and runs at
    /// every boot: a disk of a virtual machine may become larger at any time.
    ///
    /// - Parameters:
    ///   - grow: enlarges partition `$number` of `/dev/$disk`.
    ///   - growfs: systemd-growfs(8) of the guest.
    private static func byUnit(_ grow: String, _ growfs: String) -> String {
        """
        cat > /etc/systemd/system/grow-root.service <<'END'
        [Unit]
        Description=Let the root file system take the whole disk
        Documentation=man:systemd-growfs(8)
        DefaultDependencies=no
        After=systemd-remount-fs.service
        Before=local-fs.target shutdown.target
        Conflicts=shutdown.target

        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/bin/sh -eu /etc/systemd/system/grow-root.sh

        [Install]
        WantedBy=local-fs.target
        END
        cat > /etc/systemd/system/grow-root.sh <<'END'
        device=$(findmnt --noheadings --nofsroot --output SOURCE /)
        partition=$(readlink -f "/sys/class/block/$(basename "$(readlink -f "$device")")")
        [ -e "$partition/partition" ] || exit 0
        number=$(cat "$partition/partition")
        disk=$(basename "$(dirname "$partition")")
        start=$(cat "$partition/start")
        size=$(cat "$partition/size")
        # Sectors of 512 bytes, as sysfs counts everywhere. Less than 16 MiB are not worth it.
        if [ $(($(cat "/sys/class/block/$disk/size") - start - size)) -gt 32768 ]; then
            \(grow.split(separator: "\n").joined(separator: "\n    "))
        fi
        \(growfs) /
        END
        mkdir -p /etc/systemd/system/local-fs.target.wants
        ln -sf ../grow-root.service /etc/systemd/system/local-fs.target.wants/grow-root.service
        """
    }
}
