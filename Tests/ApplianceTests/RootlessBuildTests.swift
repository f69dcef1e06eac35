// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Model
import Programs
import Resolution
import TestSupport
import Testing

/// A build by somebody who is not root. It needs nothing of the shared build but the base to compare with.
extension FreshBuildTests {
    /// Makes a user, and lets it build what lies in a folder. `$program` is copied, with the libraries of the toolchain:
    /// the user may not be able to look where they are.
    private static let build = """
        set -eu
        folder=$1
        user=flashlayer-test
        userdel $user 2> /dev/null || true
        useradd --no-create-home --home-dir "$folder/home" --key SUB_UID_COUNT=65536 $user
        trap 'userdel $user' EXIT
        mkdir "$folder/bin" "$folder/lib" "$folder/home"
        cp "$flashlayer" "$flashlayer-builder" "$folder/bin"
        ldd "$flashlayer" "$flashlayer-builder" | awk '$3 ~ /^\\// && $3 !~ /^\\/(usr\\/)?lib/ { print $3 }' | sort -u |
            xargs --no-run-if-empty cp --target-directory "$folder/lib"
        chown --recursive $user: "$folder"
        cd "$folder"
        setpriv --reuid=$user --regid=$user --init-groups env --ignore-environment \\
            HOME="$folder/home" PATH=/usr/bin:/bin LD_LIBRARY_PATH="$folder/lib" \\
            "$folder/bin/flashlayer" build . -o out.qcow2
        """

    /// Every file of a base's root file system, with its owner, mode and content. What holds times (the initramfs), and
    /// what tells of the machine it was made on, is left out.
    private static let manifest = """
        set -eu
        qemu-img convert -O raw "$1/disk.qcow2" "$2.raw"
        loop=$(losetup --read-only --find --show --offset \(66 << 20) "$2.raw")
        mkdir "$2.mount"
        trap 'cd /; umount "$2.mount"; losetup --detach "$loop"; rm -f "$2.raw"' EXIT
        mount -o ro,noload "$loop" "$2.mount"
        cd "$2.mount"
        skip='-name initrd.img-* -o -name .resolv.conf.systemd-resolved.bak'
        find . -xdev ! \\( $skip \\) \\( -type d -printf '%P %y %m %U %G\\n' -o -printf '%P %y %m %U %G %s %l\\n' \\) | sort
        find . -xdev -type f ! \\( $skip \\) -print0 | sort -z | xargs -0 sha256sum
        """

    private func manifest(of base: String, in folder: TemporaryFolder, _ name: String) async throws -> String {
        let unshare = try Program("unshare", debianPackage: "util-linux")
        return try await unshare.run([
            "--mount", "--propagation", "private", "bash", "-fc", Self.manifest, "bash", base, folder.file(name),
        ])
    }

    /// What dpkg has of them, as its digest.
    private static func packages(_ manifest: String) -> Substring? {
        manifest.split(separator: "\n").first { $0.hasSuffix(" ./var/lib/dpkg/status") }
    }

    @Test("one who is not root gets the same base, file by file, under the same key, and leaves nothing behind")
    func rootless() async throws {
        let folder = try TemporaryFolder()
        _ = try TestProject.plan(scripts: ["10-ok": "#!/bin/sh\ntrue\n"], in: folder)
        let outcome = try await FlashlayerProgram.script(Self.build, arguments: [folder.path])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let cache = folder.file("home/.cache/flashlayer")
        let bases = try FileManager.default.contentsOfDirectory(atPath: "\(cache)/base")
        let base = try #require(bases.first)
        #expect(bases.count == 1)
        // That of the shared build, which goes on meanwhile.
        _ = try await Fixture.shared.built()
        let made = try await manifest(of: "\(cache)/base/\(base)", in: folder, "made")
        var expected = try await manifest(of: "\(try Cache().path)/base/\(base)", in: folder, "expected")
        if Self.packages(expected) != Self.packages(made) {
            // That one is of an earlier run, and Debian has newer packages since.
            let today = try await FlashlayerProgram.run(
                ["build", folder.path, "-o", folder.file("today.qcow2")],
                environment: ["FLASHLAYER_CACHE": folder.file("today")]
            )
            #expect(today.status == 0, "\(today.errors)")
            expected = try await manifest(of: folder.file("today/base/\(base)"), in: folder, "again")
        }
        #expect(made.split(separator: "\n").count > 10_000)
        #expect(made.contains("\netc/shadow f 640 0 42 ") && made.contains("\ndev/null c 666 0 0 "))
        let difference = made.split(separator: "\n").difference(from: expected.split(separator: "\n"))
        #expect(difference.isEmpty, "\(difference)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(cache)/work").isEmpty)
    }
}
