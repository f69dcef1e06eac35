// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import ImageBuilder
import Layers
import Model
import Programs
import Resolution
import TestSupport
import Testing

@Suite("Builds upon other layouts", .serialized, .enabled(if: getuid() == 0, "bootstrapping needs root"))
struct LayoutBuildTests {
    /// Builds on a base, 3 GiB large, with a kernel argument, a file and a script that looks around.
    private func build(upon base: String, _ script: String, in folder: TemporaryFolder) async throws -> (
        result: BuildResult, warnings: [String]
    ) {
        try folder.write(
            """
            name = "upon"
            [base]
            image = "\(base)"
            [image]
            size = "3G"
            kernel-arguments = ["console=ttyS0"]
            [[layer]]
            type = "local"
            path = "layers/one"
            """,
            to: "flashlayer.toml"
        )
        try folder.write("placed\n", to: "layers/one/configs/etc/placed")
        try folder.write("#!/bin/sh\nset -e\n\(script)\n", to: "layers/one/scripts/10-look", mode: 0o755)
        let events = Events()
        let result = try await ImageBuild(
            ResolvedProject(try Plan(.recipe(path: folder.path))),
            output: ImageOutput(path: folder.file("upon.raw"), format: .raw),
            cache: Cache(path: folder.file("cache"))
        ).run { events.append($0) }
        let warnings = events.all.compactMap { if case .warning(let text) = $0 { text } else { nil } }
        return (result, warnings)
    }

    @Test("bases with LVM, btrfs and a separate /boot are built upon and grow; an encrypted one is refused by name")
    func layouts() async throws {
        let image = try await Fixture.shared.built().result.image
        let folder = try TemporaryFolder()
        let layouts = try await GuestLayouts(in: folder, from: image)
        // Beside each other: this is the longest of all.
        async let first: Void = lvm(layouts.lvm)
        async let second: Void = btrfs(layouts.btrfs)
        let error = await #expect(throws: FlashlayerError.self) {
            _ = try await build(upon: layouts.luks, "true", in: try TemporaryFolder())
        }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("encrypted (LUKS)") == true)
        _ = try await (first, second)
    }

    private func lvm(_ base: String) async throws {
        let folder = try TemporaryFolder()
        let (result, warnings) = try await build(
            upon: base,
            """
            findmnt -no FSTYPE,SOURCE /boot | grep '^ext4 */dev/sd[a-c]1$'
            findmnt -no SOURCE / | grep root && findmnt -no SOURCE /srv | grep srv
            test "$(findmnt -bno SIZE / | tr -d ' ')" -gt 2500000000
            grep console=ttyS0 /boot/grub/grub.cfg > /etc/looked
            """,
            in: folder
        )
        #expect(warnings.contains { $0.contains("will not grow at first boot: it is an LVM volume") })
        // As debugfs(8) reads it, which knows nothing of LVM.
        let debugfs = try Program("debugfs", debianPackage: "e2fsprogs")
        let place = "\(result.image)?offset=\(GuestLayouts.rootVolumeOffset)"
        #expect(try await debugfs.run(["-R", "cat /etc/placed", place]) == "placed\n")
        #expect(try await debugfs.run(["-R", "cat /etc/looked", place]).contains("console=ttyS0"))
        let table = try await Program("sfdisk", debianPackage: "fdisk").run(["--dump", result.image])
        // The volume group has the whole disk but the last MiB.
        #expect(table.contains("label: dos") && table.contains("start=      262144, size=     6027264, type=8e"))
    }

    private func btrfs(_ base: String) async throws {
        let folder = try TemporaryFolder()
        let (result, warnings) = try await build(
            upon: base,
            """
            findmnt -no OPTIONS / | grep 'subvol=/@$' && findmnt -no OPTIONS /home | grep 'subvol=/@home$'
            test "$(findmnt -bno SIZE / | tr -d ' ')" -gt 3000000000
            echo home > /home/looked
            """,
            in: folder
        )
        #expect(warnings.isEmpty)
        // Written to a larger disk, whose room the root takes at its first boot.
        let disk = folder.file("larger.qcow2")
        try await Program("qemu-img", debianPackage: "qemu-utils").run([
            "create", "-q", "-f", "qcow2", "-b", result.image, "-F", "raw", disk, "4G",
        ])
        let test = BootTest(
            disk,
            firmware: [.uefi],
            timeLimit: .seconds(1800),
            checks: [
                "findmnt -no FSTYPE,OPTIONS / | grep -E '^btrfs .*subvol=/@$'", "grep -x home /home/looked",
                "grep -x placed /etc/placed", "grep console=ttyS0 /proc/cmdline",
                "test \"$(findmnt -bno SIZE / | tr -d ' ')\" -gt 4000000000",
            ]
        )
        for outcome in try await test.run(cache: Cache(path: folder.file("cache")), observer: { _ in }) {
            #expect(outcome.error == nil, "\(outcome.error.map { "\($0)" } ?? "")")
        }
    }
}
