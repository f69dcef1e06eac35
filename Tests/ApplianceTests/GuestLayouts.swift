// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport

/// Disks of other kinds than those that we bootstrap, with the system of the shared image on them. This machine's kernel
/// need not know their formats: guestfish(1) makes them, in one launch of libguestfs's own appliance.
struct GuestLayouts {
    /// MBR, BIOS: /boot on a partition, / and /srv on LVM. / is the last volume.
    let lvm: String
    /// GPT, UEFI: a btrfs whose subvolumes are / and /home.
    let btrfs: String
    /// GPT with an encrypted partition.
    let luks: String

    /// Where / begins on the first disk, in bytes: behind the partition's start, LVM's own first MiB and /srv.
    static let rootVolumeOffset: UInt64 = (128 + 1 + 64) << 20

    init(in folder: TemporaryFolder, from image: String) async throws {
        (lvm, btrfs, luks) = (folder.file("lvm.qcow2"), folder.file("btrfs.qcow2"), folder.file("luks.qcow2"))
        let program = try Program("qemu-img", debianPackage: "qemu-utils")
        for path in [lvm, btrfs, luks] { try await program.run(["create", "-q", "-f", "qcow2", path, "2G"]) }
        let script = try folder.write(
            "add-drive-ro \(image)\n"
                + [lvm, btrfs, luks].map { "add \($0) format:qcow2 cachemode:unsafe\n" }.joined()
                + "run\n" + Self.makeLVM + Self.makeBtrfs + Self.makeLUKS,
            to: "make-layouts"
        )
        // Emulation works everywhere; what KVM would save here is little.
        try await Program("guestfish", debianPackage: "guestfish").run(
            ["--keys-from-stdin", "--file", script],
            environment: ["LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"]
        )
    }

    /// Less what takes long to copy and is not needed to boot.
    private static let copyTree = """
        sh "tar -C / --one-file-system \
        --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale --exclude=./usr/lib/firmware \
        --exclude=./usr/lib/modules/*/kernel/sound --exclude=./usr/lib/modules/*/kernel/drivers/gpu \
        --exclude=./usr/lib/modules/*/kernel/drivers/net --exclude=./usr/lib/modules/*/kernel/drivers/media \
        --exclude=./usr/lib/modules/*/kernel/drivers/infiniband --exclude=./usr/lib/modules/*/kernel/drivers/iio \
        -cf - . | tar -C /mnt -xf -"
        umount-all

        """

    private static let makeLVM = """
        part-init /dev/sdb mbr
        part-add /dev/sdb p 2048 262143
        part-add /dev/sdb p 262144 -2048
        part-set-bootable /dev/sdb 1 true
        part-set-mbr-id /dev/sdb 2 0x8e
        mkfs ext4 /dev/sdb1
        pvcreate /dev/sdb2
        vgcreate guests /dev/sdb2
        lvcreate srv guests 64
        lvcreate-free root guests 90
        mkfs ext4 /dev/guests/srv
        mkfs ext4 /dev/guests/root
        mount-ro /dev/sda3 /
        mount /dev/guests/root /mnt
        mkdir /mnt/boot
        mount /dev/sdb1 /mnt/boot
        \(copyTree)mount /dev/guests/root /
        mount /dev/sdb1 /boot
        mkdir-p /srv
        mount /dev/guests/srv /srv
        \(fstab("/ ext4", "/boot ext4", "/srv ext4"))
        sh "grub-install --target=i386-pc /dev/$(lsblk -no pkname $(findmnt -no SOURCE /boot))"
        umount-all

        """

    private static let makeBtrfs = """
        part-init /dev/sdc gpt
        part-add /dev/sdc p 2048 133119
        part-add /dev/sdc p 133120 -2048
        part-set-gpt-type /dev/sdc 1 C12A7328-F81F-11D2-BA4B-00A0C93EC93B
        part-set-gpt-type /dev/sdc 2 4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
        mkfs vfat /dev/sdc1
        mkfs btrfs /dev/sdc2
        mount /dev/sdc2 /
        btrfs-subvolume-create /@
        btrfs-subvolume-create /@home
        umount-all
        mount-ro /dev/sda3 /
        mount-options subvol=@ /dev/sdc2 /mnt
        \(copyTree)mount-options subvol=@ /dev/sdc2 /
        mount-options subvol=@home /dev/sdc2 /home
        mount /dev/sdc1 /boot/efi
        \(fstab("/ btrfs subvol=@", "/home btrfs subvol=@home", "/boot/efi vfat"))
        command "grub-install --target=x86_64-efi --efi-directory=/boot/efi --uefi-secure-boot --removable --no-nvram"
        umount-all

        """

    /// Its last line is read as the key.
    private static let makeLUKS = """
        part-disk /dev/sdd gpt
        luks-format /dev/sdd1 0
        correct horse battery staple

        """

    /// By UUID, of what is mounted.
    private static func fstab(_ lines: String...) -> String {
        let made = lines.map { line in
            let words = line.split(separator: " ")
            let options = words.count > 2 ? words[2] : "defaults"
            let id = "$(blkid -o value -s UUID $(findmnt -nvo SOURCE \(words[0])))"
            return "echo UUID=\(id) \(words[0]) \(words[1]) \(options) 0 0"
        }
        return "sh \"(\(made.joined(separator: "; "))) > /etc/fstab\""
    }
}
