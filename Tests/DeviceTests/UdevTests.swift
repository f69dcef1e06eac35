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
                for try in $(seq 100); do [ -S /run/udev/control ] && break; sleep 0.05; done
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
