// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import ArgumentParser
import ImageBuilder
import Layers
import Model

/// The machine that an appliance asks for, as far as the command line says.
struct HardwareOptions: ParsableArguments, Sendable {
    @Option(
        help: ArgumentHelp("Take the machine of an ova from this project's [vm].", valueName: "folder"),
        completion: .file()
    )
    var project: String?

    @Option(help: "Processors of the machine of an ova or box. Default: 1.")
    var cpus: Int?

    @Option(help: "Memory of the machine of an ova or box, such as 2G. Default: 1G.")
    var memory: String?

    @Option(help: "What starts the machine of an ova: bios or uefi.")
    var firmware: VirtualHardware.Firmware?

    @Option(help: "The controller of an ova's disk: lsilogic, lsilogicsas, pvscsi, sata, ide or nvme.")
    var diskController: VirtualHardware.DiskController?

    @Option(help: "The network adapter of an ova: e1000, e1000e, vmxnet3, virtio or none.")
    var nic: VirtualHardware.NetworkAdapter?

    @Option(help: "The hardware version of an ova, as VMware counts. Default: 13 (ESXi 6.5).")
    var hardwareVersion: Int?

    @Option(help: ArgumentHelp("What an ova is called.", valueName: "name"))
    var product: String?

    @Option(help: ArgumentHelp("The version of an ova.", valueName: "version"))
    var productVersion: String?

    private var said: VirtualHardware {
        get throws {
            var hardware = VirtualHardware()
            hardware.cpus = try cpus.map { try Self.confirm($0, "--cpus", in: VirtualHardware.cpuCounts) }
            hardware.memory = try memory.map { text in
                guard let bytes = ByteSize.parse(text), VirtualHardware.isMemory(bytes) else {
                    throw FlashlayerError(
                        .usage,
                        "'\(text.printable)' is no memory of a machine",
                        advice: "--memory takes \(VirtualHardware.memoryWords)"
                    )
                }
                return bytes
            }
            hardware.firmware = firmware
            hardware.diskController = diskController
            hardware.nic = nic
            hardware.hardwareVersion = try hardwareVersion.map {
                try Self.confirm($0, "--hardware-version", in: VirtualHardware.hardwareVersions)
            }
            hardware.product = product
            hardware.productVersion = productVersion
            return hardware
        }
    }

    private static func confirm(_ value: Int, _ option: String, in range: ClosedRange<Int>) throws -> Int {
        guard range.contains(value) else {
            throw FlashlayerError(.usage, "\(option) is a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// What the recipe, or the description beside the image, says, with what the command line says above it.
    ///
    /// - Throws: `usage` when the command line describes the machine of a format that has none, or one that cannot be.
    func settings(image: String, form: ExportForm) throws -> VirtualHardware {
        let said = try said
        guard form.format == .ova || form.format == .vagrant else {
            guard said == VirtualHardware(), project == nil else {
                throw FlashlayerError(
                    .usage,
                    "a \(form.format.rawValue) is a disk and has no machine: --project, --cpus, --memory and the like "
                        + "do not go with it",
                    advice: "name an .ova, or leave them out"
                )
            }
            return said
        }
        let known =
            try project.map { try Recipe(project: $0).imageHardware } ?? HardwareDescription.hardware(of: image)
            ?? VirtualHardware()
        let machine = known.adding(said)
        if form.format == .ova { try machine.confirm(as: .usage) }
        return machine
    }
}

extension VirtualHardware.Firmware: ExpressibleByArgument {}
extension VirtualHardware.DiskController: ExpressibleByArgument {}
extension VirtualHardware.NetworkAdapter: ExpressibleByArgument {}
