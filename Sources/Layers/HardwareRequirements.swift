// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Model

/// What a hardware version has to be at least for what a machine consists of: Broadcom's "Hardware Features Available with
/// Virtual Machine Compatibility Settings" (vSphere Virtual Machine Administration), and KB 1003746 for what the numbers
/// stand for.
extension VirtualHardware {
    /// A key of `[vm]` that the hardware version does not go with.
    package struct Contradiction: Sendable, Equatable {
        /// As it is written in a recipe.
        package let key: String
        /// A sentence for a person.
        package let text: String
    }

    /// Of what is said here, with the default where nothing is said.
    package var contradictions: [Contradiction] {
        let version = hardwareVersion ?? Self.standardVersion
        let wanted: [(key: String, word: String, least: Int)] = [
            ("firmware", firmware.map { "firmware \($0.rawValue)" } ?? "", firmware?.leastVersion ?? 0),
            (
                "disk-controller", diskController.map { "disk controller \($0.rawValue)" } ?? "",
                diskController?.leastVersion ?? 0
            ),
            ("nic", nic.map { "network adapter \($0.rawValue)" } ?? "", nic?.leastVersion ?? 0),
        ]
        return wanted.filter { $0.least > version }.map {
            Contradiction(
                key: $0.key,
                text:
                    "the \($0.word) takes hardware version \($0.least) or later of VMware, and the machine has \(version)"
            )
        }
    }

    /// - Parameter code: of the error: who has said it.
    /// - Throws: an error of that code when some parts do not go together.
    package func confirm(as code: ErrorCode) throws {
        let found = contradictions
        guard !found.isEmpty else { return }
        throw FlashlayerError(
            code,
            found.map(\.text).joined(separator: "; "),
            advice: "raise the hardware version, or take another \(found.map(\.key).joined(separator: " and "))"
        )
    }
}

extension VirtualHardware.Firmware {
    fileprivate var leastVersion: Int {
        switch self {
        case .bios: 0
        // ESXi 5.0.
        case .uefi: 8
        }
    }
}

extension VirtualHardware.DiskController {
    fileprivate var leastVersion: Int {
        switch self {
        case .lsilogic, .ide: 0
        case .lsilogicsas, .pvscsi: 7
        // ESXi 5.5.
        case .sata: 10
        // ESXi 6.5.
        case .nvme: 13
        }
    }
}

extension VirtualHardware.NetworkAdapter {
    fileprivate var leastVersion: Int {
        switch self {
        // VMware has no virtio at all, and so no version that it would begin with.
        case .e1000, .virtio, .none: 0
        case .vmxnet3: 7
        // ESXi 5.0.
        case .e1000e: 8
        }
    }
}
