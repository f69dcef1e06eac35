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

extension BuildMatrixTests {
    /// What lets the root grow at the first boot: a build does that to its disk, and Packer is given a machine.
    private static let growth: Set = ["etc/fstab", "etc/repart.d", "etc/repart.d/50-root.conf"]

    @Test("Packer itself makes of the base what a build makes of it: the same packages, files and environment")
    func packer() async throws {
        let built = try await Fixture.shared.built()
        let folder = try TemporaryFolder()
        let template = folder.file("packer")
        let exported = try await FlashlayerProgram.run(["packer", built.folder.path, template])
        #expect(exported.status == 0, "\(exported.errors)")
        let packer = try Program("packer", debianPackage: "packer")
        for arguments in [
            ["-only=qemu.image", "-var", "base_image=base.qcow2"],
            ["-only=null.machine", "-var", "ssh_host=192.0.2.1", "-var", "ssh_password=x"],
        ] {
            let outcome = try await packer.outcome(
                ["validate"] + arguments + ["\(template)/tested.pkr.hcl"],
                environment: ["CHECKPOINT_DISABLE": "1"]
            )
            #expect(outcome.status == 0, "\(outcome.output)\(outcome.errors)")
        }
        let base = try await RunningGuest.base(of: TestProject.resolve(built.folder).plan, in: folder)
        let image = try await RunningGuest.raw(built.result.image, in: folder.file("image.raw"))
        let outcome = try await RunningGuest.run(base, Self.script, [template, folder.path, image])
        #expect(outcome.status == 0, "\(outcome.output.suffix(4000))\(outcome.errors.suffix(2000))")
        #expect(outcome.output.contains("common/10-common.sh: a line of the common script"))
        #expect(!outcome.output.contains(TestProject.TestUsers.hash))

        func entries(_ name: String) throws -> [String: Substring] {
            let lines = try String(contentsOfFile: folder.file(name), encoding: .utf8).split(separator: "\n")
            return Dictionary(
                lines.map { line in
                    let name = line.prefix { $0 != " " }
                    return (String(name), line.dropFirst(name.count))
                }
            ) { first, _ in first }
        }
        let ours = try entries("build.tree")
        let theirs = try entries("packer.tree")
        #expect(ours.count > 10_000)
        let differing = Set(ours.keys).union(theirs.keys).filter { ours[$0] != theirs[$0] }
        #expect(
            differing == Self.growth,
            "\(differing.sorted().map { "\($0): \(ours[$0] ?? "-") |\(theirs[$0] ?? "-")" })"
        )
        for list in ["packages", "environment"] {
            let texts = try ["build", "packer"].map {
                try String(contentsOfFile: folder.file("\($0).\(list)"), encoding: .utf8)
            }
            #expect(texts[0] == texts[1])
            #expect(!texts[0].isEmpty)
        }
    }

    /// An SSH server whose root folder is the machine's; Packer comes to it by the loopback.
    private static let script = #"""
        template=$1
        folder=$2
        image=$3
        cd "$folder"
        ssh-keygen -q -t ed25519 -N '' -f host
        # Packer 1.6 reads no other kind.
        ssh-keygen -q -t rsa -m PEM -N '' -f key
        port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
        mkdir -p /run/sshd
        cat > sshd_config <<END
        Port $port
        ListenAddress 127.0.0.1
        HostKey $folder/host
        AuthorizedKeysFile $folder/key.pub
        StrictModes no
        UsePAM no
        PermitRootLogin yes
        PidFile none
        ChrootDirectory /mnt
        SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/rig
        END
        # Until the layers bring it, for Packer's uploads.
        cp "$(command -v scp)" /mnt/run/rig/
        # Who looks into TLS here is known to the machine as to this one, for as long as Packer runs.
        if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
            cp /etc/ssl/certs/ca-certificates.crt /mnt/run/rig/
            printf '[global]\ncert = /run/rig/ca-certificates.crt\n' > /mnt/etc/pip.conf
        fi
        "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f sshd_config 2> sshd.log &
        for attempt in {1..100}; do
            if ssh-keyscan -p "$port" 127.0.0.1 > /dev/null 2>&1; then break; fi
            sleep 0.1
        done
        export CHECKPOINT_DISABLE=1 PACKER_CACHE_DIR=$folder/cache PACKER_CONFIG_DIR=$folder PACKER_NO_COLOR=1
        packer build -color=false -only=null.machine -var ssh_host=127.0.0.1 -var ssh_port="$port" \
            -var ssh_private_key_file="$folder/key" "$template/tested.pkr.hcl" || {
            tail sshd.log
            exit 1
        }
        rm -f /mnt/usr/sbin/policy-rc.d /mnt/etc/pip.conf
        mkdir built
        mount -o loop,ro,noload,offset=$((66 << 20)) "$image" built
        for place in packer:/mnt build:built; do
            tree "${place#*:}" > "${place%%:*}.tree"
            dpkg-query --admindir "${place#*:}/var/lib/dpkg" -W | LC_ALL=C sort > "${place%%:*}.packages"
            cat "${place#*:}/etc/environment" > "${place%%:*}.environment"
        done
        umount built
        """#
}
