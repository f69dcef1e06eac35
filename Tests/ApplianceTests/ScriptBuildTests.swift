// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import TestSupport
import Testing

extension BuildMatrixTests {
    private static let value = #"a "b" 'c' $HOME `id` ${x} %{y} {{ .Z }} \n \\ end"#

    private static func project(in folder: TemporaryFolder, script: String) throws {
        try folder.write(
            """
            name = "odd's $(name)"
            [image]
            size = "2G"
            firmware = ["bios", "uefi"]
            kernel-arguments = ["console=tty0", "console=ttyS0"]
            hostname = "odd"
            [[user]]
            name = "guest"
            comment = "The guest's %{own}"
            groups = ["adm"]
            password = "!"
            [[layer]]
            type = "local"
            path = "layers/first's"
            """,
            to: "project/flashlayer.toml"
        )
        let layer = "project/layers/first's"
        try folder.write("own-tool\n", to: "\(layer)/packages/debs.txt")
        try folder.write("ODD=\(value)\n", to: "\(layer)/environment")
        let source = "deb [trusted=yes] file:/srv/repository ./\n"
        try folder.write(source, to: "\(layer)/configs/etc/apt/sources.list.d/own.list")
        try folder.write("odd\n", to: "\(layer)/configs/etc/odd/a 'b' \"c\" $d\n{{e}}\\")
        try folder.write("#!/bin/sh\necho hello\n", to: "\(layer)/configs/bin/hello", mode: 0o755)
        try folder.write("etc/odd guest:adm 0750\n", to: "\(layer)/owners")
        try folder.write("#!/bin/sh\n\(script)\n", to: "\(layer)/scripts/10 it's.sh", mode: 0o755)
    }

    /// Looked at from inside, after a run that went well.
    private static let checks = #"""
        set -eu
        own-tool | grep -qx 'the tool'
        test "$(readlink /bin)" = usr/bin && test "$(hello)" = hello
        test "$(stat -c '%U:%G %a' /etc/odd)" = 'guest:adm 750'
        test "$(cat "$(printf '/etc/odd/a \047b\047 "c" $d\n{{e}}\134')")" = odd
        grep -Fxq 'ODD=VALUE' /etc/environment
        test "$(cat /etc/hostname)" = odd
        id -nG guest | grep -qw adm
        printf '%s' 'VALUE' | cmp - /srv/seen.value
        test "$(cat /srv/seen)" = "first's scripts / the secret"
        test ! -e /run/flashlayer && test -z "$(ls -d /run/flashlayer-secrets* /var/lib/flashlayer-script/work.* 2> /dev/null)"
        test "$(cat /etc/machine-id)" = 0123456789abcdef0123456789abcdef
        grep -q 'apt: Setting up own-tool' /var/log/flashlayer-script.log
        """#

    private static let script = #"""
        printf %s "$ODD" > /srv/seen.value
        echo "$FLASHLAYER_LAYER $FLASHLAYER_PHASE $(pwd) $(cat "$FLASHLAYER_SECRETS/token")" > /srv/seen
        """#

    private static func bundle(_ folder: TemporaryFolder, _ name: String, script: String) async throws {
        try project(in: folder, script: script)
        let outcome = try await FlashlayerProgram.run(["script", folder.file("project"), folder.file(name)])
        #expect(outcome.status == 0, "\(outcome.errors)")
    }

    @Test("a script bundle brings a machine that runs to what the layers say, once, and says what went wrong")
    func script() async throws {
        let folder = try TemporaryFolder()
        try await Self.bundle(folder, "good", script: Self.script)
        let disk = try await RunningGuest.base(of: Plan(.recipe(path: folder.file("project"))), in: folder)
        try await Self.bundle(folder, "bad", script: "echo one\necho 'the last line' >&2\nexit 3")
        try await Self.bundle(folder, "long", script: "touch /srv/started\nsleep 12345 & sleep 12345")
        try folder.write(
            Self.checks.replacing("'VALUE'", with: Self.value.shellQuoted)
                .replacing("'ODD=VALUE'", with: "ODD=\(Self.value)".shellQuoted),
            to: "checks.sh"
        )
        let outcome = try await RunningGuest.run(disk, Self.course, [folder.path])
        #expect(outcome.status == 0, "\(outcome.output.suffix(4000))\(outcome.errors.suffix(2000))")
        func part(_ name: String) -> String {
            let rest = outcome.output.split(separator: "#### \(name)\n", maxSplits: 1).dropFirst().first ?? ""
            return String(rest.split(separator: "\n####", maxSplits: 1).first ?? "")
        }
        #expect(part("dry").contains("packages: would do\n") && part("dry").contains("  install own-tool"))
        #expect(part("first").contains("apt: Setting up own-tool"))
        #expect(part("second").hasPrefix("nothing to do: all of odd's $(name)"))
        #expect(part("bad").contains("packages: done before\nconfigs: done before\n"))
        #expect(part("bad").contains("script 10 it's.sh of layer first's ended with status 3"))
        #expect(part("bad").contains("[script-failed]\n  one\n  the last line"))
        #expect(part("again").contains("packages: done before") && part("again").contains("done: odd's"))
    }

    /// Each run ends with the status that stands in front.
    private static let course = #"""
        folder=$1
        mkdir /mnt/srv/repository /mnt/run/bundles
        mount --bind "$folder" /mnt/run/bundles
        cd "$folder"
        mkdir -p tool/DEBIAN tool/usr/bin
        printf 'Package: own-tool\nVersion: 1.0\nArchitecture: all\nMaintainer: Rig <rig@example.org>\nDescription: Tool\n' \
            > tool/DEBIAN/control
        printf '#!/bin/sh\necho the tool\n' > tool/usr/bin/own-tool
        chmod 755 tool/usr/bin/own-tool
        dpkg-deb --root-owner-group --build tool /mnt/srv/repository/own-tool.deb > /dev/null
        {
            cat tool/DEBIAN/control
            printf 'Filename: ./own-tool.deb\nSize: %s\nSHA256: %s\n' \
                "$(stat -c %s /mnt/srv/repository/own-tool.deb)" \
                "$(sha256sum < /mnt/srv/repository/own-tool.deb | cut -c 1-64)"
        } > /mnt/srv/repository/Packages
        : > /mnt/etc/apt/sources.list
        echo 0123456789abcdef0123456789abcdef > /mnt/etc/machine-id
        printf 'the secret' > /mnt/run/token
        call() { # STATUS NAME COMMAND...
            echo "#### $2"
            wanted=$1
            shift 2
            status=0
            inside "$@" 2>&1 || status=$?
            echo
            [ $status = "$wanted" ] || { echo "status $status"; exit 1; }
        }
        install() { # STATUS NAME BUNDLE [OPTION]...
            wanted=$1 name=$2 bundle=$3
            shift 3
            call "$wanted" "$name" sh "/run/bundles/$bundle/install.sh" "$@"
        }
        facts() { # with all times, but not those of what a look itself changes
            find /mnt -xdev ! -path /mnt/srv/facts\* -printf '%P %m %U %G %s %T@ %C@\n' | LC_ALL=C sort
        }
        nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
        facts > /run/before
        call 77 nobody $nobody sh /run/bundles/good/install.sh
        call 0 dry $nobody sh /run/bundles/good/install.sh --dry-run
        facts | cmp - /run/before
        mv /mnt/usr/bin/apt-get /mnt/usr/bin/apt-got
        install 69 strange good
        mv /mnt/usr/bin/apt-got /mnt/usr/bin/apt-get
        install 66 secretless good --secret token=/run/nothing
        install 0 first good --secret token=/run/token
        inside sh /run/bundles/checks.sh
        facts > /run/before
        install 0 second good
        facts | cmp - /run/before
        install 65 bad bad
        # Nothing of it stays, whatever it was doing.
        echo '#### interrupted'
        inside sh /run/bundles/long/install.sh > /run/long 2>&1 &
        while [ ! -e /mnt/srv/started ]; do sleep 0.1; done
        install 75 busy good
        pid=$(pgrep -of '^sh /run/bundles/long/install.sh')
        kill -INT "$pid"
        status=0
        wait %1 || status=$?
        cat /run/long
        [ $status = 130 ] || { echo "status $status"; exit 1; }
        if pgrep -f '^sleep 12345'; then exit 1; fi
        install 0 again good --secret token=/run/token
        inside sh /run/bundles/checks.sh
        install 0 forced good --secret token=/run/token --force
        inside sh /run/bundles/checks.sh
        echo >> "$folder/good/steps/configs.sh"
        install 65 damaged good --force
        """#
}
