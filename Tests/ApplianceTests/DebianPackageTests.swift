// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs
import TestSupport
import Testing

/// Packages of the release build, which CI makes before it runs the tests.
@Suite(
    "Debian packages",
    .serialized,
    .enabled(if: getuid() == 0, "a chroot needs root"),
    .enabled(if: Checkout.exists(".build/release/flashlayer"), "needs the release build: make")
)
struct DebianPackageTests {
    /// Paths of the packages, by their names. Made once.
    private static let packages = Task {
        let made = try await Program("make", debianPackage: "make").outcome(
            ["deb", "SWIFT=/bin/false"],
            workingDirectory: Checkout.root
        )
        guard made.status == 0 else { throw FlashlayerError(.fault, "\(made.output)\n\(made.errors)") }
        let files = try FileManager.default.contentsOfDirectory(atPath: "\(Checkout.root)/.build/deb")
        let found = files.filter { $0.hasSuffix(".deb") }.map { name in
            (String(name.prefix { $0 != "_" }), "\(Checkout.root)/.build/deb/\(name)")
        }
        return Dictionary(found, uniquingKeysWith: { first, _ in first })
    }

    @Test("are of the program's version, depend on what the programs load, and lintian finds no error in them")
    func policy() async throws {
        let packages = try await Self.packages.value
        #expect(packages.keys.sorted() == ["flashlayer", "flashlayer-builder", "flashlayerd"])
        let changes = try #require(
            FileManager.default.contentsOfDirectory(atPath: "\(Checkout.root)/.build/deb").first {
                $0.hasSuffix(".changes")
            }
        )
        let lintian = try await Program("lintian", debianPackage: "lintian").outcome([
            "--allow-root", "--fail-on", "error", "\(Checkout.root)/.build/deb/\(changes)",
        ])
        #expect(lintian.status == 0, "\(lintian.output)")
        let field = try Program("dpkg-deb", debianPackage: "dpkg")
        for path in packages.values {
            let version = try await field.run(["--field", path, "Version"]).split(separator: "\n")
            #expect(version == [Substring(Version.string)])
        }
        let program = try await field.run(["--field", try #require(packages["flashlayer"]), "Depends"])
        #expect(program.contains("libblkid1") && program.contains("liburing2") && !program.contains("guestfs"))
        let station = try await field.run(["--field", try #require(packages["flashlayerd"]), "Depends"])
        #expect(station.contains("flashlayer (= \(Version.string))") && !station.contains("guestfs"))
        let builder = try await field.run(["--field", try #require(packages["flashlayer-builder"]), "Depends"])
        #expect(builder.contains("libguestfs0") && builder.contains("flashlayer (= \(Version.string))"))
    }

    @Test("are installed, used and purged in a clean system, and leave nothing there")
    func lifecycle() async throws {
        let packages = try await Self.packages.value
        let folder = try TemporaryFolder()
        // Its mounts go with the namespace, whatever becomes of the script.
        let outcome = try await Program("unshare", debianPackage: "util-linux").outcome(
            [
                "--mount", "--propagation", "private", "bash", "-euc", PrivateMounts.forgetOthers + Self.script, "bash",
                folder.file("root"),
                try #require(packages["flashlayer"]), try #require(packages["flashlayer-builder"]),
                try #require(packages["flashlayerd"]),
            ]
        )
        #expect(outcome.status == 0, "\(outcome.output)\n\(outcome.errors)")
        let lines = outcome.output.split(separator: "\n").map(String.init)
        #expect(lines.contains("version \(Version.string)"))
        #expect(lines.contains("written pass"))
        #expect(lines.contains("refused 77"))
        #expect(lines.contains("page NAME"))
        #expect(lines.contains("station \(Version.string), user flashlayer"))
        #expect(lines.contains("without slots 66"))
        #expect(lines.contains { $0.hasPrefix("Inst flashlayer-builder ") }, "its dependencies are in the archive")
        #expect(lines.last == "left nothing", "\(outcome.output)")
    }

    private static let script = #"""
        root=$1
        mmdebstrap --quiet --variant=apt --include=mandoc --skip=cleanup/apt bookworm "$root"
        cp /etc/resolv.conf "$root/etc/resolv.conf"
        cp "$2" "$3" "$4" "$root/var/cache/apt/archives/"
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount -t devtmpfs dev "$root/dev" 2>/dev/null || mount --rbind /dev "$root/dev"
        cat > "$root/var/cache/apt/archives/run" <<'END'
        set -eu
        export DEBIAN_FRONTEND=noninteractive
        cd /var/cache/apt/archives
        every() { find / -xdev \( -path /var/cache/apt -o -path /var/lib/apt -o -path /var/log -o -path /tmp \
            -o -path /var/lib/dpkg -o -path '/etc/*-' -o -path /var/cache/debconf -o -path /etc/ld.so.cache -o -path /var/cache/ldconfig \) \
            -prune -o -print | sort; }
        apt-get install --yes --quiet --no-install-recommends libblkid1 libbz2-1.0 liburing2 libstdc++6 libudev1 \
            libssl3 libzstd1 systemd-standalone-sysusers >&2
        every > /tmp/before
        apt-get install --yes --quiet --no-install-recommends ./flashlayer_*.deb >&2
        echo "version $(flashlayer --version)"
        head -c 5M /dev/urandom > /tmp/image
        flashlayer write /tmp/image null: --json > /tmp/events
        echo "written $(sed -n 's/.*"event":"finished".*"result":"\([a-z]*\)".*/\1/p' /tmp/events)"
        status=0
        flashlayer write /tmp/image /dev/null --yes 2>/dev/null || status=$?
        echo "refused $status"
        echo "page $(mandoc -T ascii /usr/share/man/man1/flashlayer-write.1.gz | sed -n 's/^N.NA.AM.ME.E$/NAME/p')"
        bash -n /usr/share/bash-completion/completions/flashlayer
        apt-get install --yes --quiet --no-install-recommends ./flashlayerd_*.deb >&2
        echo "station $(flashlayerd --version), user $(getent passwd flashlayer | cut -d : -f 1)"
        status=0
        flashlayerd 2>/dev/null || status=$?
        echo "without slots $status"
        apt-get install --simulate ./flashlayer-builder_*.deb
        apt-get purge --yes --quiet flashlayerd flashlayer >&2
        every > /tmp/after
        diff /tmp/before /tmp/after && echo "left nothing"
        END
        chroot "$root" bash /var/cache/apt/archives/run
        umount --recursive --lazy "$root/dev" "$root/sys" "$root/proc"
        """#
}
