// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Programs
import TestSupport
import Testing

private enum Udev {
    static let daemon = "/usr/lib/systemd/systemd-udevd"
    static var isInstalled: Bool { Program.isExecutable(daemon) }
}

/// A udevd of our own, in a mount namespace with a private /run.
extension RefusalTests {
    @Suite(
        "With a running udevd",
        .enabled(if: LoopDevice.isAvailable && Udev.isInstalled, "needs root, /dev/loop-control and udev")
    )
    struct UdevTests {
        /// Runs a script with a udevd of its own in a private /run; `$1` is a loop device, `$2` a folder, `$3` this tree.
        private func withDaemon(_ loop: LoopDevice, _ folder: TemporaryFolder, _ body: String) async throws
            -> Program.Outcome
        {
            // /dev is the machine's own: what udevd leaves there is taken away, unless there is a udevd that owns it.
            let script = """
                set -eu
                had=; if [ -d /dev/disk ]; then had=1; fi
                # A mount namespace begins with a copy of every mount: those of other tests must not live on in it.
                grep ^/dev/loop /proc/mounts | cut -d ' ' -f 2 | xargs -r umount || true
                mount -t tmpfs none /run
                mkdir -p /run/udev/rules.d
                cp "$3/udev-rules/85-flashlayer.rules" /run/udev/rules.d
                \(Udev.daemon) >/dev/null 2>&1 & udevd=$!
                trap 'kill $udevd; wait $udevd || true; [ "$had" ] || rm -rf /dev/disk' EXIT
                for try in $(seq 6000); do [ -S /run/udev/control ] && break; sleep 0.05; done
                \(body)
                """
            return try await FlashlayerProgram.script(
                #"exec unshare --mount --net bash "$1" "$2" "$3" "$4""#,
                arguments: [try folder.write(script, to: "script"), loop.path, folder.path, Checkout.root]
            )
        }

        @Test("automounters are told to leave a disk alone that was written, until it is another medium")
        func marked() async throws {
            let loop = try LoopDevice(size: 64 << 20)
            defer { loop.close() }
            let folder = try TemporaryFolder()
            let outcome = try await withDaemon(
                loop,
                folder,
                """
                auto() { udevadm settle; udevadm info --query=property --name="$1" | grep UDISKS_AUTO || echo "$2"; }
                truncate -s 16M "$2/image.raw"
                echo start=2048,type=83 | sfdisk --quiet --label dos "$2/image.raw"
                auto "$1" before
                "$flashlayer" write "$2/image.raw" "$1" --allow virtual --yes --quiet
                auto "$1" lost
                auto "$1p1" "lost on the partition"
                file=$(losetup --noheadings --output BACK-FILE "$1")
                partx --delete "$1"
                losetup --detach "$1"
                losetup "$1" "$file"
                udevadm trigger --settle "$1"
                auto "$1" "forgotten"
                """
            )
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output == "before\nUDISKS_AUTO=0\nUDISKS_AUTO=0\nforgotten\n", "\(outcome.errors)")
        }

        @Test("when a write returns, the links in /dev/disk are those of the new content")
        func links() async throws {
            let loop = try LoopDevice(size: 64 << 20)
            defer { loop.close() }
            let folder = try TemporaryFolder()
            // /dev is the machine's own: what udevd leaves there is taken away, unless there is a udevd that owns it.
            let script = """
                set -eu
                uuid=11111111-2222-4333-8444-555555555555
                truncate -s 16M "$2/image.raw"
                mkfs.ext4 -q -U $uuid "$2/image.raw"
                had=; if [ -d /dev/disk ]; then had=1; fi
                # A mount namespace begins with a copy of every mount: those of other tests must not live on in it.
                grep ^/dev/loop /proc/mounts | cut -d ' ' -f 2 | xargs -r umount || true
                mount -t tmpfs none /run
                mkdir -p /run/udev
                \(Udev.daemon) >/dev/null 2>&1 & udevd=$!
                trap 'kill $udevd; wait $udevd || true; [ "$had" ] || rm -rf /dev/disk' EXIT
                for try in $(seq 6000); do [ -S /run/udev/control ] && break; sleep 0.05; done
                "$flashlayer" write "$2/image.raw" "$1" --allow virtual --yes --quiet
                readlink -f /dev/disk/by-uuid/$uuid
                """
            let body = try folder.write(script, to: "script")
            let outcome = try await FlashlayerProgram.script(
                #"exec unshare --mount --net bash "$1" "$2" "$3""#,
                arguments: [body, loop.path, folder.path]
            )
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(outcome.output == loop.path + "\n")
        }
    }
}
