// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
package import Layers
import Model

/// The partitions of a bootstrapped disk: GPT, with what each firmware needs before the root file system, which is last so
/// that it can grow. Positions are bytes, all multiples of 1 MiB.
package struct DiskLayout: Sendable, Equatable {
    package enum Role: Sendable, Equatable {
        /// GRUB's own room for BIOS, see "BIOS boot partition" in GRUB's manual.
        case biosBoot
        case efiSystem
        case root
    }

    package struct Partition: Sendable, Equatable {
        package let role: Role
        package let offset: UInt64
        package let size: UInt64
    }

    package let size: UInt64
    package let partitions: [Partition]

    /// - Throws: `bad-recipe` when nothing would be left for a file system.
    package init(size: UInt64, firmware: [ImageSettings.Firmware]) throws {
        let mebibyte = ByteSize.mebibyte
        let size = size.roundedUp(to: mebibyte)
        self.size = size
        var partitions: [Partition] = []
        var offset = mebibyte
        if firmware.contains(.bios) {
            partitions.append(Partition(role: .biosBoot, offset: offset, size: mebibyte))
            offset += mebibyte
        }
        if firmware.contains(.uefi) {
            // FAT32 needs 65525 clusters: 64 MiB with the smallest ones. What goes in is 6 MiB.
            partitions.append(Partition(role: .efiSystem, offset: offset, size: 64 * mebibyte))
            offset += 64 * mebibyte
        }
        // The backup table takes the end of the disk.
        guard size >= offset + 257 * mebibyte else {
            throw FlashlayerError(
                .badRecipe,
                "[image] size is \(ByteSize.describe(size)): no operating system fits on such a disk",
                advice: "leave it out for 2G, or say more"
            )
        }
        partitions.append(Partition(role: .root, offset: offset, size: size - offset - mebibyte))
        self.partitions = partitions
    }

    /// What sfdisk(8) reads. The GUIDs follow from the key of the build, so that the same build gives the same disk.
    package func sfdiskScript(key: Digest) throws -> String {
        var lines = ["label: gpt", "label-id: \(try Self.uuid(of: "disk", key))"]
        for partition in partitions {
            let sector: UInt64 = 512
            let id = try Self.uuid(of: partition.role.name, key)
            lines.append(
                "start=\(partition.offset / sector), size=\(partition.size / sector), type=\(partition.role.type), "
                    + "name=\(partition.role.name), uuid=\(id)"
            )
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package subscript(role: Role) -> Partition? { partitions.first { $0.role == role } }

    /// As the appliance sees the disk.
    package var mounts: [GuestFacts.Mount] {
        partitions.enumerated().compactMap { index, partition in
            switch partition.role {
            case .biosBoot: nil
            case .efiSystem: GuestFacts.Mount(device: "/dev/sda\(index + 1)", path: "/boot/efi")
            case .root: GuestFacts.Mount(device: "/dev/sda\(index + 1)", path: "/")
            }
        }.sorted { $0.path.count < $1.path.count }
    }

    /// A version 8 UUID (RFC 9562): its bits are ours to choose.
    package static func uuid(of name: String, _ key: Digest) throws -> String {
        var bytes = try SHA256.digest(of: key.bytes + Array(name.utf8)).bytes.prefix(16).map { $0 }
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        let hex = Array(bytes.flatMap { [$0 >> 4, $0 & 15] }.map { String($0, radix: 16) })
        let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { hex[$0].joined() }
        return parts.joined(separator: "-")
    }

    /// The 32 bits that name a FAT file system, as fstab writes them: `1A2B-3C4D`.
    package static func fatID(_ key: Digest) throws -> String {
        let hex = try SHA256.digest(of: key.bytes + Array("fat".utf8)).hex.uppercased()
        return "\(hex.prefix(4))-\(hex.dropFirst(4).prefix(4))"
    }
}

extension DiskLayout.Role {
    var name: String {
        switch self {
        case .biosBoot: "bios"
        case .efiSystem: "esp"
        case .root: "root"
        }
    }

    /// From the Discoverable Partitions Specification; the root's makes systemd-repart(8) find it.
    var type: String {
        switch self {
        case .biosBoot: "21686148-6449-6E6F-744E-656564454649"
        case .efiSystem: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
        case .root: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
        }
    }
}
