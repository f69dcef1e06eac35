// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs
import TestSupport
import Testing

@Suite("Exports that do not come to their end")
struct InterruptedExportTests {
    /// An image of data that does not compress, so that a compressed export takes a while.
    private func slowFolder() async throws -> ExportFolder {
        let folder = try ExportFolder(size: 96 << 20, data: [])
        try await Program("bash", debianPackage: "bash").run([
            "-euc", "head -c 96M /dev/urandom > \"$1\"", "bash", folder.image,
        ])
        return folder
    }

    /// Starts an export, waits until it writes, and does something.
    ///
    /// - Parameter action: shell text; `$pid` is the program, `$1` the folder.
    /// - Returns: how the export ended.
    private func during(
        _ folder: ExportFolder,
        _ options: String,
        _ action: String
    ) async throws -> Program.Outcome {
        try await FlashlayerProgram.script(
            """
            cd "$1"
            # Started in the background it would ignore SIGINT.
            set -m
            "$flashlayer" export k.raw \(options) 2> messages &
            pid=$!
            until ls .*.part/* > /dev/null 2>&1; do
                kill -0 $pid 2> /dev/null || break
                sleep 0.02
            done
            \(action)
            wait $pid
            status=$?
            cat messages >&2
            rm -f messages
            exit $status
            """,
            arguments: [folder.folder.path]
        )
    }

    @Test(
        "Ctrl-C ends it with 130, SIGTERM with 143: the old file stays, and nothing else",
        arguments: [("INT", Int32(130)), ("TERM", 143)]
    )
    func signals(name: String, status: Int32) async throws {
        let folder = try await slowFolder()
        try folder.folder.write("old", to: "k.ova")
        let outcome = try await during(folder, "k.ova --force", "kill -\(name) $pid")
        #expect(outcome.status == status, "\(outcome.errors)")
        #expect(try folder.names == ["k.ova", "k.raw"])
        #expect(try String(contentsOfFile: folder.file("k.ova"), encoding: .utf8) == "old")
    }

    @Test("an image that is written to meanwhile is noticed")
    func changed() async throws {
        let folder = try await slowFolder()
        let outcome = try await during(
            folder,
            "k.vmdk --subformat streamOptimized",
            "printf x | dd of=k.raw bs=1 seek=1000 conv=notrunc status=none"
        )
        #expect(outcome.status == 65 && outcome.errors.contains("[source-changed]"), "\(outcome.errors)")
        #expect(try folder.names == ["k.raw"])
    }

    @Test("a second one to the same name waits for nothing and harms nothing")
    func twice() async throws {
        let folder = try await slowFolder()
        let outcome = try await during(
            folder,
            "k.vmdk --subformat streamOptimized",
            "\"$flashlayer\" export k.raw k.vmdk 2> second; echo \"second: $?\" >&2; cat second >&2; rm second"
        )
        #expect(outcome.status == 0 && outcome.errors.contains("second: 75\n"), "\(outcome.errors)")
        #expect(outcome.errors.contains("[busy]"))
        #expect(try folder.names == ["k.raw", "k.vmdk"])
    }

    @Test("one that is killed leaves the old file; qemu-img ends with it, and the next export clears up")
    func killed() async throws {
        let folder = try await slowFolder()
        try folder.folder.write("old", to: "k.vmdk")
        let outcome = try await during(
            folder,
            "k.vmdk --subformat streamOptimized --force",
            """
            kill -KILL $pid
            # The program that converts has the folder's path among its arguments.
            while pgrep -f "convert.*$1/[.]k|convert.*[.]/[.]k[.]vmdk[.]part/k[.]vmdk" > pids; do
                for one in $(cat pids); do
                    [ "$(readlink /proc/$one/cwd)" = "$1" ] && sleep 0.1 && continue 2
                done
                break
            done
            rm -f pids
            """
        )
        #expect(outcome.status == 137, "\(outcome.errors)")
        #expect(try folder.names == [".k.vmdk.part", "k.raw", "k.vmdk"])
        #expect(try String(contentsOfFile: folder.file("k.vmdk"), encoding: .utf8) == "old")
        try await Program("truncate", debianPackage: "coreutils").run(["--size", "1M", folder.image])
        try await folder.export("k.vmdk", "--force")
        #expect(try folder.names == ["k.raw", "k.vmdk"])
    }

    @Test(
        "killed at any moment, it leaves the old disk or the new one, whole",
        arguments: ["--format vdi", "--format vmdk --subformat twoGbMaxExtentSparse", "--format ova"]
    )
    func killedAnywhere(options: String) async throws {
        let folder = try ExportFolder(size: 8 << 20, data: [0..<4096, (3 << 20)..<(6 << 20)])
        let other = folder.file("other.raw")
        try TestImage.create(other, size: 8 << 20, data: [0..<8192, (2 << 20)..<(7 << 20)], seed: 9)
        // How long one takes is measured, and kills are spread over twice that.
        let outcome = try await FlashlayerProgram.script(
            """
            cd "$1"; shift
            export="$flashlayer export"
            start=$(date +%s%N)
            $export k.raw out $* -q || exit 1
            span=$(( ($(date +%s%N) - start) * 2 ))
            content() {
                case "$*" in
                    *ova*) tar -xOf out out-disk1.vmdk > disk && qemu-img convert -f vmdk -O raw disk flat ;;
                    *vdi*) qemu-img convert -f vdi -O raw out flat ;;
                    *) qemu-img convert -f vmdk -O raw out flat ;;
                esac && sha256sum < flat
            }
            old=$(content "$@"); changed=0
            for turn in 1 2 3 4 5 6 7 8; do
                [ $(( turn % 2 )) = 1 ] && source=other.raw || source=k.raw
                timeout --signal=KILL $(( span * turn / 9 / 1000000 ))e-3 $export $source out $* --force -q \\
                    2> messages
                # What reads back through FUSE is unmounted by its own guard.
                new=$(sha256sum < $source)
                found=$(content "$@") || { echo "turn $turn: not whole"; exit 2; }
                if [ "$found" = "$new" ]; then changed=$(( changed + 1 )); old=$new
                elif [ "$found" != "$old" ]; then echo "turn $turn: neither old nor new"; exit 3; fi
            done
            $export k.raw out $* --force -q || exit 4
            [ "$(content "$@")" = "$(sha256sum < k.raw)" ] || exit 5
            rm -f flat disk messages; ls -A
            echo "$changed" >&2
            """,
            arguments: [folder.folder.path] + options.split(separator: " ").map(String.init)
        )
        #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        let changed = Int(outcome.errors.split(separator: "\n").last ?? "") ?? -1
        #expect(
            (1...7).contains(changed),
            "some of them were too early to come to their end, and some were not: \(changed)"
        )
        let left = outcome.output.split(separator: "\n").filter { !["k.raw", "other.raw", "out"].contains($0) }
        #expect(left.count == (options.contains("twoGb") ? 1 : 0), "\(left)")
    }

    @Test("a file that may not be so large ends it with a word of its own, and leaves nothing")
    func limited() async throws {
        let folder = try ExportFolder(size: 8 << 20, data: [0..<(8 << 20)])
        try folder.folder.write("old", to: "k.qcow2")
        let outcome = try await FlashlayerProgram.script(
            "ulimit -f 4096; exec \"$flashlayer\" export \"$1/k.raw\" \"$1/k.qcow2\" --force",
            arguments: [folder.folder.path]
        )
        #expect(outcome.status == 73 && outcome.errors.contains("larger than a file may be"), "\(outcome.errors)")
        #expect(try String(contentsOfFile: folder.file("k.qcow2"), encoding: .utf8) == "old")
        #expect(try folder.names == ["k.qcow2", "k.raw"])
    }

    @Test(
        "a full file system ends it: what is seen before is told with figures, what is not leaves the old file",
        .enabled(if: getuid() == 0, "mounting needs root"),
        arguments: ["tmpfs", "ext4"]
    )
    func full(type: String) async throws {
        let folder = try ExportFolder(size: 64 << 20, data: [0..<(40 << 20)])
        // In a namespace of its own: nobody else sees the mount, and it ends with the script.
        let script = """
            set -e
            cd "$1"; mkdir small
            case "$2" in
                tmpfs) mount -t tmpfs -o size=24m tmpfs small ;;
                ext4) truncate -s 24M disk; mkfs.ext4 -q -m 0 disk; mount -o loop disk small ;;
            esac
            echo old > small/k.qcow2
            set +e
            "$flashlayer" export k.raw small/k.qcow2 --force 2> messages; echo "before: $?"; cat messages
            # Data that does not compress, of which a quarter fits: found out by running full.
            head -c 40M /dev/urandom > random.raw
            "$flashlayer" export random.raw small/k.qcow2 --force --compress 2> messages; echo "later: $?"; cat messages
            # Here qemu-img itself calls the argument invalid.
            "$flashlayer" export random.raw small/k.ova 2> messages; echo "ova: $?"; cat messages
            ls -A small | grep -v lost+found; cat small/k.qcow2
            umount small; rmdir small
            """
        let outcome = try await Program("unshare", debianPackage: "util-linux").outcome(
            ["--mount", "--propagation", "private", "bash", "-c", script, "bash", folder.folder.path, type],
            environment: ["flashlayer": try FlashlayerProgram.path]
        )
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(lines.contains("before: 73") && lines.contains("later: 73"), "\(outcome.output)")
        #expect(lines.contains("ova: 73"), "\(outcome.output)")
        #expect(outcome.output.contains("takes up to"), "\(outcome.output)")
        #expect(outcome.output.split(separator: "[no-space]").count == 4, "\(outcome.output)")
        #expect(lines.suffix(2) == ["k.qcow2", "old"], "\(outcome.output)")
    }
}
