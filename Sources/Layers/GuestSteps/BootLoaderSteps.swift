// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Makes a bootstrapped disk boot.
package enum BootLoaderSteps {
    /// The disk that holds the root file system, asked of the kernel. libguestfs translates names such as /dev/sda in its
    /// own calls, not in the arguments of programs, and the appliance's kernel finds its disks in any order.
    private static let installForBIOS = """
        number=$(mountpoint -d /)
        disk=/dev/$(basename "$(readlink -f "/sys/dev/block/$number/..")")
        exec grub-install --target=i386-pc "$disk"
        """

    package static func install(for firmware: [ImageSettings.Firmware]) -> [GuestStep] {
        var steps: [GuestStep] = []
        if firmware.contains(.bios) {
            steps.append(
                .run(
                    GuestCommand(shell: installForBIOS, source: "grub", title: "installing GRUB for BIOS")
                )
            )
        }
        if firmware.contains(.uefi) {
            // The fallback path of the firmware (`--removable`), because the disk is to boot in machines that have
            // never seen it; shim and the signed GRUB, so that Secure Boot may be on.
            steps.append(
                .run(
                    GuestCommand(
                        source: "grub",
                        arguments: [
                            "/usr/sbin/grub-install", "--target=x86_64-efi", "--efi-directory=/boot/efi",
                            "--uefi-secure-boot", "--removable", "--no-nvram",
                        ],
                        title: "installing GRUB for UEFI"
                    )
                )
            )
        }
        steps.append(
            .run(
                GuestCommand(source: "grub", arguments: ["/usr/sbin/update-grub"], title: "writing GRUB's menu")
            )
        )
        return steps
    }

    /// Read after /etc/default/grub, so that the guest's own file stays as its distribution made it.
    package static let argumentsFile = "/etc/default/grub.d/50-kernel-arguments.cfg"

    package static func argumentsFileText(_ arguments: [String]) -> String {
        let line = arguments.joined(separator: " ")
        let quoted = line.map { "\\\"$`".contains($0) ? "\\\($0)" : "\($0)" }.joined()
        return """
            # Kernel arguments of the recipe.
            GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX \(quoted)"

            """
    }
}
