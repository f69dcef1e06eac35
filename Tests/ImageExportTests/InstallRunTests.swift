// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Programs
import TestSupport
import Testing

@testable import ImageExport

@Suite("install.sh on a machine", .enabled(if: getuid() == 0, "mounting needs root"))
struct InstallRunTests {
    private static let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKQv6KKC5zxm6/8GKG+KcbTICVQTXx/hc8YMUEe6bX/o new"

    /// The bundle lies in `folder/out`.
    private static func bundle(in folder: TemporaryFolder, script: String) async throws {
        try folder.write(
            """
            name = "small"
            [image]
            hostname = "new"
            timezone = "UTC"
            locale = "C.UTF-8"
            [[user]]
            name = "root"
            authorized-keys = ["\(key)"]
            [[layer]]
            type = "local"
            path = "a"
            """,
            to: "flashlayer.toml"
        )
        try folder.write("NEW=1\n", to: "a/environment")
        try folder.write(String(repeating: "n", count: 300_000), to: "a/configs/opt/app/big")
        for name in ["1", "2", "odd \u{1}\nname\n", String(repeating: "n", count: 250)] {
            try folder.write("new\n", to: "a/configs/opt/app/\(name)")
        }
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("a/configs/opt/app/link"),
            withDestinationPath: "../app/1"
        )
        try FileManager.default.linkItem(
            atPath: folder.file("a/configs/opt/app/1"),
            toPath: folder.file("a/configs/opt/app/same")
        )
        // A link on the way: of the layer, and of the machine.
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("a/configs/opt/way"),
            withDestinationPath: "app"
        )
        try folder.write("new\n", to: "a/configs/srv/deep/file", mode: 0o4755)
        try folder.write("srv/deep/file 7:8 4750\nopt/app 1:1 0751\n", to: "a/owners")
        try folder.write("#!/bin/bash\n\(script)\n", to: "a/scripts/10.sh", mode: 0o755)
        _ = try await ScriptBundle(try Plan(.recipe(path: folder.path))).write(to: folder.file("out"), replaces: false)
    }

    @Test("a file that is mounted, as in a container, is written where it is")
    func mounted() async throws {
        let folder = try TemporaryFolder()
        try await Self.bundle(in: folder, script: "true")
        let course = #"""
            small size=16M
            cd /mnt/root
            mkdir -p opt/app
            echo old > run/file
            echo '1.2.3.4 old' > run/hosts
            : > opt/app/2
            : > etc/hosts
            mount --bind run/file opt/app/2
            mount --bind run/hosts etc/hosts
            inside sh /bundle/out/install.sh
            mountpoint -q opt/app/2
            echo "file $(cat run/file)"
            echo "hosts $(tail -n 1 run/hosts)"
            """#
        let outcome = try await SmallMachine.run(course, in: folder.path)
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.hasSuffix("file new\nhosts 127.0.1.1 new\n"), "\(outcome.output)")
    }

    /// What is full is memory for bytes, or for names: the second comes up only when files are made.
    @Test(
        "a full file system ends it with 73 whenever it comes: each file is old or new, and with room the next run completes",
        arguments: ["bytes", "names"]
    )
    func full(of what: String) async throws {
        let folder = try TemporaryFolder()
        try await Self.bundle(in: folder, script: "true")
        let course = #"""
            check() { # PATH OLD NEW STATE
                found=$(head -c 300 "/mnt/root/$1" | tr '\n' '|'; stat -L -c ' %s %a %u:%g' "/mnt/root/$1")
                case $found in
                    "$2") [ "$4" != new ] || { echo "$left: $1 is old"; exit 1; } ;;
                    "$3") ;;
                    *) echo "$left: $1 is neither: $found"; exit 1 ;;
                esac
            }
            checks() { # STATE
                check etc/environment 'old| 4 640 1:2' 'old|NEW=1| 10 640 1:2' "$1"
                check etc/hosts '1.2.3.4 old| 12 644 0:0' '1.2.3.4 old|127.0.1.1 new| 26 644 0:0' "$1"
                check etc/hostname 'old| 4 600 0:0' 'new| 4 600 0:0' "$1"
                check root/.ssh/authorized_keys 'ssh-rsa old| 12 600 0:0' "ssh-rsa old|KEY| 97 600 0:0" "$1"
                check opt/app/1 'old| 4 644 0:0' 'new| 4 644 0:0' "$1"
                check opt/app/big "$(printf 'o%.0s' $(seq 300)) 200000 644 0:0" \
                    "$(printf 'n%.0s' $(seq 300)) 300000 644 0:0" "$1"
                [ -L /mnt/root/etc/environment ]
                left_over=$(find /mnt/root -xdev \( -name '.flashlayer.*' -o -name 'work.*' \))
                [ -z "$left_over" ] || { echo "$left: $left_over"; exit 1; }
            }
            ended=0
            for left in LIST; do
                small size=4m,nr_inodes=1000
                mkdir -p /mnt/root/opt/app /mnt/root/root/.ssh /mnt/root/var/srv
                ln -s var/srv /mnt/root/srv
                head -c 200000 /dev/zero | tr '\0' o > /mnt/root/opt/app/big
                echo old > /mnt/root/opt/app/1
                ln -s real /mnt/root/etc/environment
                echo old > /mnt/root/etc/real; chmod 640 /mnt/root/etc/real; chown 1:2 /mnt/root/etc/real
                echo '1.2.3.4 old' > /mnt/root/etc/hosts
                echo old > /mnt/root/etc/hostname; chmod 600 /mnt/root/etc/hostname
                echo 'ssh-rsa old' > /mnt/root/root/.ssh/authorized_keys; chmod 600 /mnt/root/root/.ssh/authorized_keys
                mkdir /mnt/root/fill
                case WHAT in
                    bytes)
                        free=$(stat -f -c %a /mnt/root)
                        head -c $(( (free - left / 4) * 4096 )) /dev/zero > /mnt/root/fill/file
                        ;;
                    names) (cd /mnt/root/fill; seq $(( $(stat -f -c %d /mnt/root) - left )) | xargs touch) ;;
                esac
                status=0
                inside sh /bundle/out/install.sh > log 2>&1 || status=$?
                case $status in
                    0) checks new ;;
                    73)
                        ended=$((ended + 1))
                        grep -q 'no-space\]' log || { echo "$left:"; cat log; exit 1; }
                        checks any
                        rm -r /mnt/root/fill
                        inside sh /bundle/out/install.sh > log 2>&1 || { echo "$left: again"; cat log; exit 1; }
                        checks new
                        ;;
                    *) echo "$left: status $status"; cat log; exit 1 ;;
                esac
                [ "$(stat -c '%a %u:%g' /mnt/root/var/srv/deep/file)" = '4750 7:8' ]
                [ "$(stat -c '%a %u:%g' /mnt/root/opt/app)" = '751 1:1' ]
                [ /mnt/root/opt/app/1 -ef /mnt/root/opt/app/same ]
                [ "$(readlink /mnt/root/opt/app/link /mnt/root/opt/way /mnt/root/srv | tr '\n' ' ')" = '../app/1 app var/srv ' ]
                [ "$(ls -q /mnt/root/opt/app | wc -l)" = 7 ]
            done
            echo "ended $ended"
            """#
            .replacing("LIST", with: what == "bytes" ? "0 16 60 400" : "20 32 36 60")
            .replacing("WHAT", with: what)
            .replacing("KEY", with: Self.key)
        let outcome = try await SmallMachine.run(course, in: folder.path)
        #expect(outcome.status == 0 && outcome.output.hasSuffix("ended 3\n"), "\(outcome.output)\(outcome.errors)")
    }

    @Test("a script is given signals as a program is, by env(1) or where that is too old by Perl")
    func signals() async throws {
        let folder = try TemporaryFolder()
        try await Self.bundle(in: folder, script: "grep SigIgn /proc/self/status")
        try folder.write(
            "#!/bin/sh\ncase $1 in --default-signal*) exit 125 ;; esac\nexec /usr/bin/env \"$@\"\n",
            to: "old/env",
            mode: 0o755
        )
        let course = """
            small size=8m
            inside sh /bundle/out/install.sh
            inside PATH=/bundle/old:/usr/sbin:/usr/bin sh /bundle/out/install.sh --force
            """
        let outcome = try await SmallMachine.run(course, in: folder.path)
        let lines = outcome.output.split(separator: "\n").filter { $0.contains("SigIgn") }
        // Of the mask's last digit, bits 1 and 2 are SIGINT and SIGQUIT.
        #expect(lines.count == 2 && lines.allSatisfy { $0.hasSuffix("0") }, "\(outcome)")
    }

    @Test("interrupted, it ends what its program has started, in sessions and groups of their own as well")
    func family() async throws {
        let folder = try TemporaryFolder()
        let script = """
            setsid sleep 99991 &
            (set -m; sleep 99992 & wait) &
            sleep 99993 &
            until [ "$(pgrep -c '^sleep$')" = 3 ]; do :; done
            touch /run/ready
            wait
            """
        try await Self.bundle(in: folder, script: script)
        let course = """
            small size=8m
            inside sh /bundle/out/install.sh > log 2>&1 &
            until [ -e /mnt/root/run/ready ]; do kill -0 $! || { cat log; exit 1; }; sleep 0.05; done
            kill -TERM $(pgrep -of '^sh /bundle/out/install.sh')
            status=0
            wait $! || status=$?
            pgrep -fa '^sleep 9999' || echo "status $status"
            """
        let outcome = try await SmallMachine.run(course, in: folder.path)
        #expect(outcome.output == "status 143\n", "\(outcome.output)\(outcome.errors)")
    }
}
