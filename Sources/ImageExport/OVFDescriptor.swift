// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Layers
import Model

/// The description of an appliance: OVF 1.1, DMTF's DSP0243, in the namespaces and with the order of elements that its
/// schema DSP8023 demands. What only VMware knows stands in its own namespace, and is not required.
struct OVFDescriptor: Sendable {
    /// Of the virtual system, and of what the appliance is called where nobody named it.
    let name: String
    let disk: String
    /// Of the disk's file, in bytes.
    let fileSize: UInt64
    /// Of the disk, in bytes.
    let capacity: UInt64
    /// Of the data on it, in bytes.
    let populatedSize: UInt64
    let hardware: VirtualHardware

    private var firmware: VirtualHardware.Firmware { hardware.firmware ?? .bios }
    private var controller: VirtualHardware.DiskController { hardware.diskController ?? .lsilogic }
    private var nic: VirtualHardware.NetworkAdapter { hardware.nic ?? .e1000 }
    private var cpus: Int { hardware.cpus ?? VirtualHardware.standardCPUs }
    private var mebibytes: UInt64 { (hardware.memory ?? VirtualHardware.standardMemory) / ByteSize.mebibyte }

    var xml: String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
            xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
            xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
            xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
            xmlns:vmw="http://www.vmware.com/schema/ovf">
          <References>
            <File ovf:id="file1" ovf:href="\(disk.escaped)" ovf:size="\(fileSize)"/>
          </References>
          <DiskSection>
            <Info>The disks of the appliance</Info>
            <Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="\(capacity)" ovf:capacityAllocationUnits="byte" \
        ovf:populatedSize="\(populatedSize)" \
        ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
          </DiskSection>
        \(nic == .none ? "" : Self.network)  <VirtualSystem ovf:id="\(name.escaped)">
            <Info>A virtual machine</Info>
            <Name>\(name.escaped)</Name>
            <OperatingSystemSection ovf:id="101" vmw:osType="otherLinux64Guest">
              <Info>The installed operating system</Info>
              <Description>Linux 64-Bit</Description>
            </OperatingSystemSection>
            <VirtualHardwareSection>
              <Info>What the machine is made of</Info>
              <System>
                <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
                <vssd:InstanceID>0</vssd:InstanceID>
                <vssd:VirtualSystemIdentifier>\(name.escaped)</vssd:VirtualSystemIdentifier>
                <vssd:VirtualSystemType>vmx-\(hardware.hardwareVersion ?? VirtualHardware.standardVersion)\
        </vssd:VirtualSystemType>
              </System>
        \(items.joined())      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="\(firmware == .uefi ? "efi" : "bios")"/>
            </VirtualHardwareSection>
        \(product)  </VirtualSystem>
        </Envelope>

        """
    }

    private static let network = """
          <NetworkSection>
            <Info>The networks that the machine is connected to</Info>
            <Network ovf:name="VM Network">
              <Description>The network of the first adapter</Description>
            </Network>
          </NetworkSection>

        """

    /// Each with its elements in alphabetical order, as the schema has them.
    private var items: [String] {
        var items = [
            item([
                ("AllocationUnits", "hertz * 10^6"), ("Caption", "\(cpus) virtual CPU"),
                ("Description", "Number of virtual CPUs"), ("ElementName", "\(cpus) virtual CPU"), ("InstanceID", "1"),
                ("ResourceType", "3"), ("VirtualQuantity", "\(cpus)"),
            ]),
            item([
                ("AllocationUnits", "byte * 2^20"), ("Caption", "\(mebibytes) MiB of memory"),
                ("Description", "Memory size"), ("ElementName", "\(mebibytes) MiB of memory"), ("InstanceID", "2"),
                ("ResourceType", "4"), ("VirtualQuantity", "\(mebibytes)"),
            ]),
            item(
                [
                    ("Address", "0"), ("Caption", controller.title), ("Description", controller.title),
                    ("ElementName", controller.title), ("InstanceID", "3"),
                ] + (controller.resourceSubType.map { [("ResourceSubType", $0)] } ?? [])
                    + [("ResourceType", controller.resourceType)]
            ),
            item([
                ("AddressOnParent", "0"), ("Caption", "Disk 1"), ("Description", "Disk"), ("ElementName", "Disk 1"),
                ("HostResource", "ovf:/disk/vmdisk1"), ("InstanceID", "4"), ("Parent", "3"), ("ResourceType", "17"),
            ]),
        ]
        if let subType = nic.resourceSubType {
            items.append(
                item([
                    ("AddressOnParent", "0"), ("AutomaticAllocation", "true"), ("Caption", "Network adapter 1"),
                    ("Connection", "VM Network"), ("Description", "Network adapter"),
                    ("ElementName", "Network adapter 1"), ("InstanceID", "5"), ("ResourceSubType", subType),
                    ("ResourceType", "10"),
                ])
            )
        }
        return items
    }

    private func item(_ elements: [(name: String, text: String)]) -> String {
        let lines = elements.map { "        <rasd:\($0.name)>\($0.text.escaped)</rasd:\($0.name)>\n" }
        return "      <Item>\n\(lines.joined())      </Item>\n"
    }

    private var product: String {
        let vendor = hardware.vendor.map { "      <Vendor>\($0.escaped)</Vendor>\n" } ?? ""
        let version = hardware.productVersion.map { "      <Version>\($0.escaped)</Version>\n" } ?? ""
        return """
                <ProductSection>
                  <Info>What the appliance is</Info>
                  <Product>\((hardware.product ?? name).escaped)</Product>
            \(vendor)\(version)    </ProductSection>

            """
    }

    /// The manifest of the files that it comes with: DSP0243, 5.1, with the digest that its second edition names.
    static func manifest(_ files: [(name: String, sha256: String)]) -> String {
        files.map { "SHA256(\($0.name))= \($0.sha256)\n" }.joined()
    }
}

extension VirtualHardware.DiskController {
    fileprivate var title: String {
        switch self {
        case .lsilogic, .lsilogicsas, .pvscsi: "SCSI controller 0"
        case .sata: "SATA controller 0"
        case .ide: "IDE controller 0"
        case .nvme: "NVMe controller 0"
        }
    }

    /// Of CIM_ResourceAllocationSettingData.
    fileprivate var resourceType: String {
        switch self {
        case .lsilogic, .lsilogicsas, .pvscsi: "6"
        case .ide: "5"
        case .sata, .nvme: "20"
        }
    }

    fileprivate var resourceSubType: String? {
        switch self {
        case .lsilogic, .lsilogicsas: rawValue
        case .pvscsi: "VirtualSCSI"
        case .sata: "vmware.sata.ahci"
        case .ide: nil
        case .nvme: "vmware.nvme.controller"
        }
    }
}

extension VirtualHardware.NetworkAdapter {
    fileprivate var resourceSubType: String? {
        switch self {
        case .e1000: "E1000"
        case .e1000e: "E1000e"
        case .vmxnet3: "VmxNet3"
        case .virtio: "virtio"
        case .none: nil
        }
    }
}

extension String {
    /// As text or in an attribute; what XML cannot hold at all becomes U+FFFD: see "Characters" in XML 1.0.
    fileprivate var escaped: String {
        var escaped = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "\n", "\t", "\u{20}"..."\u{D7FF}", "\u{E000}"..."\u{FFFD}", "\u{10000}"..."\u{10FFFF}":
                escaped.unicodeScalars.append(scalar)
            default: escaped += "\u{FFFD}"
            }
        }
        return escaped
    }
}
