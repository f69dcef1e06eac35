// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The `[vm]` table: the machine that an appliance asks for. Nothing of it goes into the image, so no phase and no key
/// knows of it; the image's description carries it.
package struct VirtualHardware: Codable, Sendable, Equatable {
    package enum Firmware: String, Codable, Sendable, CaseIterable {
        case bios, uefi
    }

    package enum DiskController: String, Codable, Sendable, CaseIterable {
        case lsilogic, lsilogicsas, pvscsi, sata, ide, nvme
    }

    package enum NetworkAdapter: String, Codable, Sendable, CaseIterable {
        case e1000, e1000e, vmxnet3, virtio, none
    }

    /// Of VMware: what the oldest of its products that is to take the appliance understands.
    package static let hardwareVersions = 7...22
    package static let cpuCounts = 1...768
    /// Bytes. VMware counts memory in pieces of 4 MiB.
    package static let memorySizes: ClosedRange<UInt64> = (64 << 20)...(24 << 40)
    package static let memoryUnit: UInt64 = 4 << 20

    package static let standardCPUs = 1
    /// Bytes.
    package static let standardMemory = ByteSize.gibibyte
    /// ESXi 6.5, Workstation 14, and all that came after.
    package static let standardVersion = 13

    package var cpus: Int?
    /// Bytes.
    package var memory: UInt64?
    /// nil: BIOS, unless the image is made for UEFI alone.
    package var firmware: Firmware?
    package var diskController: DiskController?
    package var nic: NetworkAdapter?
    package var hardwareVersion: Int?
    /// What the appliance is called; nil: the recipe's name.
    package var product: String?
    package var productVersion: String?
    package var vendor: String?

    package init() {}

    /// What `other` says holds above this.
    package func adding(_ other: VirtualHardware) -> VirtualHardware {
        var sum = self
        sum.cpus = other.cpus ?? cpus
        sum.memory = other.memory ?? memory
        sum.firmware = other.firmware ?? firmware
        sum.diskController = other.diskController ?? diskController
        sum.nic = other.nic ?? nic
        sum.hardwareVersion = other.hardwareVersion ?? hardwareVersion
        sum.product = other.product ?? product
        sum.productVersion = other.productVersion ?? productVersion
        sum.vendor = other.vendor ?? vendor
        return sum
    }
}

extension VirtualHardware {
    /// With what the recipe says elsewhere.
    fileprivate func completed(_ name: String, _ version: String, _ image: ImageSettings, _ base: Base)
        -> VirtualHardware
    {
        var hardware = self
        hardware.product = product ?? name
        hardware.productVersion = productVersion ?? version
        if firmware == nil, case .bootstrap = base { hardware.firmware = image.firmware == [.uefi] ? .uefi : .bios }
        return hardware
    }
}

extension Plan {
    /// What an appliance made of the image asks for.
    package var imageHardware: VirtualHardware { hardware.completed(name, version, image, base) }
}

extension Recipe {
    /// What an appliance made of its image asks for.
    package var imageHardware: VirtualHardware { hardware.completed(name, version, image, base) }
}
