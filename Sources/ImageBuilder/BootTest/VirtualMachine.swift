// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model

/// A plain PC, as QEMU makes it.
struct VirtualMachine: Sendable {
    struct Files: Sendable {
        let disk: String
        /// A copy of the firmware's variables that belongs to this boot.
        let variables: String
        let console: String
        let report: String
    }

    let firmware: BootTest.Firmware
    private let code: String
    private let variables: String

    /// - Throws: `unavailable` when this machine lacks the firmware.
    init(firmware: BootTest.Firmware) throws {
        self.firmware = firmware
        guard firmware != .bios else {
            code = ""
            variables = ""
            return
        }
        let present = Self.firmwareFiles(firmware).first { pair in
            [pair.code, pair.variables].allSatisfy { FileManager.default.fileExists(atPath: $0) }
        }
        guard let present else {
            throw FlashlayerError(
                .unavailable,
                "the UEFI firmware for virtual machines is not installed",
                advice: "apt-get install ovmf"
            )
        }
        code = present.code
        variables = present.variables
    }

    /// Where Debian's ovmf has it, the best first.
    static func firmwareFiles(_ firmware: BootTest.Firmware) -> [(code: String, variables: String)] {
        let kind = firmware == .secureBoot ? ".ms" : ""
        return ["_4M", ""].map { size in
            ("/usr/share/OVMF/OVMF_CODE\(size)\(kind).fd", "/usr/share/OVMF/OVMF_VARS\(size)\(kind).fd")
        }
    }

    /// See qemu-system-x86_64(1).
    func arguments(accelerator: Accelerator, files: Files) throws -> [String] {
        let needsSystemManagement = firmware == .secureBoot
        var arguments = [
            "-machine", "q35,accel=\(accelerator.rawValue),smm=\(needsSystemManagement ? "on" : "off")",
            "-cpu", accelerator == .kvm ? "host" : "max", "-smp", "2", "-m", "1024",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-drive", "file=\(Self.escaped(files.disk)),format=qcow2,if=virtio,cache=unsafe",
            "-chardev", "file,id=console,path=\(Self.escaped(files.console))", "-serial", "chardev:console",
            "-chardev", "file,id=report,path=\(Self.escaped(files.report))", "-device", "virtio-serial-pci",
            "-device", "virtserialport,chardev=report,name=\(BootTestSteps.port)",
            // A network that answers DHCP and leads nowhere.
            "-netdev", "user,id=network,restrict=on", "-device", "virtio-net-pci,netdev=network",
            "-device", "virtio-rng-pci",
        ]
        guard firmware != .bios else { return arguments }
        do {
            try FileManager.default.copyItem(atPath: variables, toPath: files.variables)
        } catch {
            throw FlashlayerError(.cannotCreate, "cannot copy \(variables): \(error)")
        }
        if needsSystemManagement { arguments += ["-global", "driver=cfi.pflash01,property=secure,value=on"] }
        arguments += [
            "-drive", "if=pflash,unit=0,format=raw,readonly=on,file=\(code)",
            "-drive", "if=pflash,unit=1,format=raw,file=\(Self.escaped(files.variables))",
        ]
        return arguments
    }

    /// A comma ends a value; two are one.
    static func escaped(_ path: String) -> String {
        path.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
