// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// A whole disk as a person and `devices --json` see it. All sizes and offsets are bytes.
package struct Disk: Sendable, Equatable {
    /// The device node, links resolved.
    package let path: String
    /// The kernel's number of the medium; nil before Linux 5.15.
    package let diskseq: UInt64?
    package let size: UInt64
    package let logicalSectorSize: Int
    package let physicalSectorSize: Int
    package let vendor: String?
    package let model: String?
    package let serial: String?
    package let wwn: String?
    package let transport: Transport
    /// The kernel says that the medium can be taken out.
    package let removable: Bool
    package let rotational: Bool
    package let readOnly: Bool
    /// udev's link that names the way to the device.
    package let byPath: String?
    /// The socket of a USB device: controller and chain of ports, `0000:00:14.0/1.4`.
    package let port: String?
    /// Of a USB device, Mbit/s.
    package let linkSpeed: Int?
    package let partitions: [Partition]
    /// What is built on it: device-mapper, md, LVM, bcache, loop devices, btrfs, ZFS.
    package var holders: [Holder] = []
    /// What the driver says of its state for nothing, such as "running", "offline", "3 I/O errors"; nil: nothing.
    package var health: String?
    /// What lies on it in a few words; nil when it could not be read.
    package let contents: String?
    /// Why it may not be overwritten; empty when it may.
    package let refusals: [Refusal]
    /// What the rules judge by.
    package let subject: Subject

    package var identity: DeviceIdentity {
        DeviceIdentity(
            path: path,
            deviceNumber: subject.node.number.rawValue,
            diskSequence: diskseq,
            size: size,
            serial: serial
        )
    }

    /// What `--unmount` takes away, in this order.
    package var unmounting: [MountStep] { subject.unmounting }

    package struct Partition: Codable, Sendable, Equatable {
        /// nil when the kernel has no node for it.
        package let path: String?
        package let number: Int
        package let offset: UInt64
        package let size: UInt64
        /// A GUID of GPT, or `0x83` of MBR.
        package let type: String?
        package let fsType: String?
        package let label: String?
        package let uuid: String?
        package let mountPoints: [String]
    }
}

/// A coded reason why a device is not a target.
package struct Refusal: Codable, Sendable, Equatable {
    package let code: ErrorCode
    /// One sentence that names the device.
    package let message: String
    /// What was seen, such as "/dev/sda2 mounted at /boot (mountinfo 36)".
    package let evidence: String
    /// `--allow CODE` lifts it.
    package let overridable: Bool
    /// `--unmount` would end it. Not a part of the JSON: it is an advice.
    var endsByUnmounting = false

    private enum CodingKeys: CodingKey {
        case code, message, evidence, overridable
    }

    /// As the error that ends a command.
    package var error: FlashlayerError {
        FlashlayerError(code, "\(message): \(evidence)", advice: Self.advice(against: [self]))
    }

    /// All that refuses one device as the error that ends a command; nil when nothing does.
    package static func error(of refusals: [Refusal]) -> FlashlayerError? {
        refusals.first.map { first in
            FlashlayerError(first.code, "\(first.message): \(first.evidence)", advice: advice(against: refusals))
        }
    }

    /// What would help against all of them. A word that lifts a rule is not told where another stands that none lifts.
    package static func advice(against refusals: [Refusal]) -> String? {
        let firm = refusals.filter { !$0.overridable }
        guard let first = firm.first else {
            let words = refusals.map { "--allow \($0.code.rawValue)" }.joined(separator: " ")
            return words.isEmpty ? nil : "if that is what you want, add \(words)"
        }
        // The advice of a rule has a word where the device belongs: this one, or the loop device that uses it.
        let sentence = first.code == .backsLoop ? first.evidence : first.message
        let path = sentence.split(separator: " ").first.map(String.init) ?? "DEVICE"
        let advice = Rule.advice(for: first.code)?.replacing("DEVICE", with: path)
        // Where something else stands in the way as well, unmounting would be for nothing.
        guard firm.allSatisfy(\.endsByUnmounting) else { return advice }
        return advice.map { $0 + "; or add --unmount to the command that writes" }
    }
}

/// How a disk is attached.
package enum Transport: String, Codable, Sendable {
    case usb, nvme, sata, sas, scsi, iscsi, fc, mmc, virtio, xen, nbd, loop, zram, ram, dm, md, pmem, floppy
    case firewire = "ieee1394"
    case unknown
}

extension Disk: Encodable {
    private enum Key: String, CodingKey {
        case path, diskseq, size, logicalSectorSize, physicalSectorSize, vendor, model, serial, wwn, transport
        case removable, rotational, readOnly, byPath, port, linkSpeed, partitions, holders, health, contents, refusals
    }

    /// Every key is always there, null where nothing is known, so that a reader need not ask twice.
    package func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(path, forKey: .path)
        try object.encode(diskseq, forKey: .diskseq)
        try object.encode(size, forKey: .size)
        try object.encode(logicalSectorSize, forKey: .logicalSectorSize)
        try object.encode(physicalSectorSize, forKey: .physicalSectorSize)
        try object.encode(vendor, forKey: .vendor)
        try object.encode(model, forKey: .model)
        try object.encode(serial, forKey: .serial)
        try object.encode(wwn, forKey: .wwn)
        try object.encode(transport, forKey: .transport)
        try object.encode(removable, forKey: .removable)
        try object.encode(rotational, forKey: .rotational)
        try object.encode(readOnly, forKey: .readOnly)
        try object.encode(byPath, forKey: .byPath)
        try object.encode(port, forKey: .port)
        try object.encode(linkSpeed, forKey: .linkSpeed)
        try object.encode(partitions, forKey: .partitions)
        try object.encode(holders, forKey: .holders)
        try object.encode(health, forKey: .health)
        try object.encode(contents, forKey: .contents)
        try object.encode(refusals, forKey: .refusals)
    }
}

extension Disk.Partition {
    private enum Key: String, CodingKey {
        case path, number, offset, size, type, fsType, label, uuid, mountPoints
    }

    package func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        try object.encode(path, forKey: .path)
        try object.encode(number, forKey: .number)
        try object.encode(offset, forKey: .offset)
        try object.encode(size, forKey: .size)
        try object.encode(type, forKey: .type)
        try object.encode(fsType, forKey: .fsType)
        try object.encode(label, forKey: .label)
        try object.encode(uuid, forKey: .uuid)
        try object.encode(mountPoints, forKey: .mountPoints)
    }
}
