// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Programs
import TestSupport

/// A machine that runs, as small as one can be: this machine's /usr, read-only, and a root file system of its own in memory,
/// which a test may fill. It lives in private namespaces, and ends with the script.
enum SmallMachine {
    /// Runs a script of bash beside it. Its functions:
    ///
    ///     small OPTIONS         makes it anew, with options for its tmpfs; its root is /mnt/root, the folder its /bundle
    ///     inside COMMAND...     runs in it
    static func run(_ script: String, in folder: String) async throws -> Program.Outcome {
        try await Program("unshare", debianPackage: "util-linux").outcome(
            [
                "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "--", "bash",
                "-euo", "pipefail", "-c", PrivateMounts.forgetOthers + start + script, "bash", folder,
            ]
        )
    }

    private static let start = #"""
        folder=$1
        mount -t tmpfs -o mode=755 tmpfs /mnt
        mkdir /mnt/root
        small() {
            if mountpoint -q /mnt/root; then umount -R /mnt/root; fi
            mount -t tmpfs -o "mode=755,$1" tmpfs /mnt/root
            cd /mnt/root
            mkdir -p etc dev proc run tmp usr var/lib var/log root opt bundle
            for name in bin sbin lib lib64; do [ ! -L /$name ] || ln -s usr/$name $name; done
            mount --bind /usr usr
            mount -o remount,bind,ro usr
            mount -t proc proc proc
            mount -t tmpfs -o mode=755 tmpfs run
            mount -t tmpfs -o mode=755 tmpfs dev
            mount --bind "$folder" bundle
            for name in null zero urandom; do : > dev/$name; mount --bind /dev/$name dev/$name; done
            cp -a /etc/passwd /etc/group /etc/shadow /etc/nsswitch.conf /etc/login.defs /etc/ld.so.cache \
                /etc/alternatives etc/
            cd "$folder"
        }
        inside() { chroot /mnt/root env -i --default-signal PATH=/usr/sbin:/usr/bin "$@"; }

        """#
}
