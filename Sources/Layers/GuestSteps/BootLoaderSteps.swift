// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// Makes a bootstrapped disk boot.
package enum BootLoaderSteps {
    /// The disk that holds the root file system, asked of the kernel. libguestfs translates names such as /dev/sda in its
    /// own calls, not in the arguments of programs, and the appliance's kernel finds its disks in any order. GRUB is told
    /// that it is the first one: its files name it, and are to be the same each time.
    static let nameDisk = """
        number=$(mountpoint -d /)
        disk=/dev/$(basename "$(readlink -f "/sys/dev/block/$number/..")")
        map=/boot/grub/device.map
        if [ ! -e $map ] && [ -b "$disk" ]; then
            mkdir -p /boot/grub
            printf '(hd0) %s\\n' "$disk" > $map
            trap 'rm -f $map' EXIT
        fi

        """

    package static func install(for firmware: [ImageSettings.Firmware]) -> [GuestStep] {
        var lines: [String] = []
        if firmware.contains(.bios) { lines.append("grub-install --target=i386-pc \"$disk\"") }
        if firmware.contains(.uefi) {
            // The fallback path of the firmware (`--removable`), because the disk is to boot in machines that have
            // never seen it; shim and the signed GRUB, so that Secure Boot may be on.
            lines.append(
                "grub-install --target=x86_64-efi --efi-directory=/boot/efi --uefi-secure-boot --removable --no-nvram"
            )
        }
        lines.append("update-grub")
        return [
            .run(
                GuestCommand(
                    shell: nameDisk + lines.joined(separator: "\n"),
                    source: "grub",
                    title: "installing the boot loader"
                )
            )
        ]
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
