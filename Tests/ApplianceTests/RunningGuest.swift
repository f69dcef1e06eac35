// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Layers
import Programs
import Resolution
import TestSupport

/// A machine that runs, as far as a root folder, processes and mounts of its own make one: the root file system of a disk
/// that was built here, on a loop device, at /mnt of a private mount namespace. It has the network of this machine, and
/// none of its disks. When its script ends, all processes in it end, and nothing stays mounted or attached.
enum RunningGuest {
    /// Where our own bootstraps have their root file system; see `DiskLayout`.
    private static let rootOffset = 66 << 20

    /// A raw copy of the disk that the builds of these tests start from.
    static func base(of plan: Plan, in folder: TemporaryFolder) async throws -> String {
        _ = try await Fixture.shared.built()
        let key = try requireValue(plan.phases().first { $0.phase == .base }?.key)
        return try await raw("\(Cache().base(key))/disk.qcow2", in: folder.file("base.raw"))
    }

    static func raw(_ image: String, in path: String) async throws -> String {
        try await Program("qemu-img", debianPackage: "qemu-utils").run(["convert", "-O", "raw", image, path])
        return path
    }

    /// Runs a script of bash beside the machine, in its namespaces. Its functions:
    ///
    ///     inside COMMAND...     runs in the machine
    ///     tree FOLDER           lists all that a root folder holds, for comparison
    static func run(_ disk: String, _ script: String, _ arguments: [String] = []) async throws -> Program.Outcome {
        // Away from the terminal of whoever runs the tests: Packer would wait for its turn there, for ever.
        try await Program("setsid", debianPackage: "util-linux").outcome(
            [
                "--wait", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation",
                "private", "--", "bash",
                "-euo", "pipefail", "-c", PrivateMounts.forgetOthers + start + script, "bash", disk,
            ] + arguments
        )
    }

    private static let start = #"""
        mount -o loop,offset=OFFSET "$1" /mnt
        shift
        mount -t proc proc /mnt/proc
        mount -t tmpfs -o mode=755 tmpfs /mnt/run
        mount -t tmpfs -o mode=1777 tmpfs /mnt/tmp
        mount -t tmpfs -o mode=755 tmpfs /mnt/dev
        mkdir /mnt/dev/pts
        mount -t devpts -o newinstance,ptmxmode=666 devpts /mnt/dev/pts
        ln -s pts/ptmx /mnt/dev/ptmx
        ln -s /proc/self/fd /mnt/dev/fd
        for device in null zero full random urandom tty; do
            : > /mnt/dev/$device
            mount --bind /dev/$device /mnt/dev/$device
        done
        # What the machine's /etc/resolv.conf leads to.
        mkdir -p /mnt/run/systemd/resolve /mnt/run/rig
        cp /etc/resolv.conf /mnt/run/systemd/resolve/stub-resolv.conf
        # The packages of services would start them, on this machine's network.
        printf '#!/bin/sh\nexit 101\n' > /mnt/usr/sbin/policy-rc.d
        chmod 755 /mnt/usr/sbin/policy-rc.d

        inside() {
            env -i --default-signal=INT PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot /mnt "$@"
        }
        tree() { # a line for each file: its name as in a URL, then all that it is, less its time and its SELinux label
            python3 - "$1" <<'END'
        import hashlib, os, stat, sys, urllib.parse
        root = os.fsencode(sys.argv[1])
        mounted = [os.path.join(root, name) for name in (b"dev", b"proc", b"run", b"tmp")]
        def facts(path):
            status = os.lstat(path)
            names = sorted(os.listxattr(path, follow_symlinks=False))
            kept = [(n, os.getxattr(path, n, follow_symlinks=False).hex()) for n in names if n != "security.selinux"]
            text = [oct(status.st_mode), status.st_uid, status.st_gid, kept]
            if stat.S_ISLNK(status.st_mode):
                text.append(os.readlink(path).hex())
            elif stat.S_ISREG(status.st_mode):
                content = open(path, "rb").read()
                if path == os.path.join(root, b"etc/shadow"):
                    # Less the day of the last change.
                    content = b"\n".join(b":".join(f[:2] + f[3:]) for f in (l.split(b":") for l in content.split(b"\n")))
                text += [status.st_nlink, len(content), hashlib.sha256(content).hexdigest()]
            return " ".join(map(str, text))
        for folder, folders, files in os.walk(root):
            folders[:] = [f for f in folders if os.path.join(folder, f) not in mounted]
            for name in folders + files:
                path = os.path.join(folder, name)
                print(urllib.parse.quote(os.path.relpath(path, root)), facts(path))
        END
        }

        """#
        .replacing("OFFSET", with: "\(rootOffset)")

    private static func requireValue<Value>(_ value: Value?) throws -> Value {
        guard let value else { throw CocoaError(.featureUnsupported) }
        return value
    }
}
