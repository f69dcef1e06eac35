// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution
import TestSupport

/// A guest whose packages are rpm and whose package manager is dnf, made of Debian packages: it calls itself Fedora, and
/// has a database of rpm packages in which little more stands than that. It shows how the package manager is worked, not
/// what Fedora is like. Made once, and kept in the cache.
///
/// Its repository, signed except for one package:
///
///     tool 1.0, 2.0    needs library, recommends manual
///     library 1.5
///     manual 1.0
///     new-editor 1.0   conflicts with editor 1.0, which is installed
///     jq 1.7
///     unsigned 1.0
struct DnfGuest: Sendable {
    /// The guest's root folder. Never written to: see `DnfMachine`.
    let root: String
    let repository: String
    /// The key that signed the packages, armored.
    let key: String

    /// A disk image of the guest: one file system, without a table and without anything that boots.
    let image: String

    static func make() async throws -> DnfGuest {
        let name = try SHA256.digest(of: generator).hex.prefix(16)
        let folder = "\(try Cache().path)/tests/dnf-guest-\(name)"
        try Cache.makeFolder("\(try Cache().path)/tests")
        let lock = try await KeyLock.hold(folder + ".lock") {}
        defer { withExtendedLifetime(lock) {} }
        if !FileManager.default.fileExists(atPath: folder) {
            let unfinished = folder + ".part"
            try await Program("rm", debianPackage: "coreutils").run(["-rf", "--one-file-system", "--", unfinished])
            // Its mounts go with the namespace, whatever becomes of the script.
            try await Program("unshare", debianPackage: "util-linux").run([
                "--mount", "--propagation", "private", "bash", "-euc", PrivateMounts.forgetOthers + generator, "bash",
                unfinished,
            ])
            guard unsafe rename(unfinished, folder) == 0 else {
                throw FlashlayerError.system("put the guest into \(folder)", .current, code: .cannotCreate)
            }
        }
        return DnfGuest(
            root: "\(folder)/root",
            repository: "\(folder)/repository",
            key: "\(folder)/key",
            image: "\(folder)/guest.qcow2"
        )
    }

    private static let generator = #"""
        mkdir -p "$1"
        cd "$1"
        root=$PWD/root
        mmdebstrap --quiet --variant=minbase \
            --include=dnf,rpm,createrepo-c,gnupg,python3-venv,python3-pip,ca-certificates \
            --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
            --dpkgopt='path-exclude=/usr/share/doc/*' bookworm "$root"
        rm -rf "$root"/etc/os-release "$root"/etc/debian_version "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
        cat > "$root/etc/os-release" <<'END'
        NAME="Fedora Linux"
        VERSION="40 (of Debian packages)"
        ID=fedora
        VERSION_ID=40
        PRETTY_NAME="Fedora Linux 40 (of Debian packages)"
        END
        mkdir -p "$root/etc/rpm" "$root/etc/yum.repos.d"
        # Debian keeps the database in root's home.
        echo '%_dbpath /var/lib/rpm' > "$root/etc/rpm/macros"
        mount --bind /proc "$root/proc"
        mount -t tmpfs tmpfs "$root/tmp"
        cat > "$root/tmp/make" <<'END'
        set -eu
        cd /tmp
        export GNUPGHOME=/tmp/keys HOME=/tmp
        mkdir -m 700 $GNUPGHOME
        gpg --batch --quiet --passphrase '' --quick-gen-key 'Rig <rig@example.org>' rsa2048 sign never
        gpg --export --armor > key
        package() { # FOLDER NAME VERSION LINE...
            folder=$1 name=$2 version=$3
            shift 3
            {
                printf '%s\n' "Name: $name" "Version: $version" 'Release: 1' 'Summary: A package' 'License: none' \
                    'BuildArch: noarch' "$@" '%description' 'A package.' '%install' 'mkdir -p %{buildroot}/usr/bin' \
                    "printf '#!/bin/sh\necho $name-$version\n' > %{buildroot}/usr/bin/$name" \
                    "chmod 755 %{buildroot}/usr/bin/$name" '%files' "/usr/bin/$name"
            } > $name.spec
            rpmbuild -bb --quiet --define "_rpmdir $folder" \
                --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' $name.spec
        }
        package /tmp/there fedora-release 40 'Provides: system-release = 40' 'Provides: /bin/sh' 'Provides: python3' \
            'Provides: python3-pip'
        package /tmp/there editor 1.0
        rpm -i --nodeps there/*.rpm
        package /tmp/repository tool 1.0 'Requires: library' 'Recommends: manual'
        package /tmp/repository tool 2.0 'Requires: library' 'Recommends: manual'
        package /tmp/repository library 1.5
        package /tmp/repository manual 1.0
        package /tmp/repository new-editor 1.0 'Conflicts: editor'
        package /tmp/repository jq 1.7
        rpmsign --define '_gpg_name Rig' --define "_gpg_path $GNUPGHOME" --define '__gpg /usr/bin/gpg' \
            --addsign repository/*.rpm
        package /tmp/repository unsigned 1.0
        createrepo_c --quiet repository
        gpgconf --kill all
        END
        chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin sh /tmp/make
        mv "$root/tmp/repository" "$root/tmp/key" .
        umount --lazy "$root/tmp" "$root/proc"
        # What is looked at by whoever asks which packages there are.
        rm -rf "$root/var/lib/dpkg"
        mke2fs -q -F -t ext4 -m 0 -d "$root" guest.raw 2G
        qemu-img convert -f raw -O qcow2 guest.raw guest.qcow2
        rm guest.raw
        """#
}

/// Serves a folder over HTTP on this machine, until it is stopped.
final class FileServer: Sendable {
    let port: Int
    private let task: Task<Void, Never>

    /// An appliance finds this machine's loopback at its gateway: the network that libguestfs gives QEMU.
    var addressForAppliance: String { "http://169.254.2.2:\(port)/" }
    var address: String { "http://127.0.0.1:\(port)/" }

    init(_ folder: String, port: Int? = nil) async throws {
        let port = port ?? Int.random(in: 20000..<30000)
        self.port = port
        let program = try Program("python3", debianPackage: "python3")
        task = Task {
            _ = try? await program.outcome([
                "-m", "http.server", "--bind", "127.0.0.1", "--directory", folder, "\(port)",
            ])
        }
        let probe = try Program("curl", debianPackage: "curl")
        for _ in 0..<100 {
            if try await probe.outcome(["-sf", "-o", "/dev/null", address]).status == 0 { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw FlashlayerError(.fault, "nothing is served on port \(port)")
    }

    func stop() async {
        task.cancel()
        await task.value
    }

    deinit {
        task.cancel()
    }
}

/// A copy of the guest that commands are run in as the appliance would, but by chroot(8): in a second, not in twenty.
struct DnfMachine {
    private let guest: DnfGuest
    private let folder: TemporaryFolder

    /// What stands in the place of the drive of downloads; machines may share one.
    let downloads: String

    init(_ guest: DnfGuest, downloads: String? = nil) throws {
        self.guest = guest
        folder = try TemporaryFolder()
        self.downloads = downloads ?? folder.file("downloads")
        for path in ["upper", "work", "root", "host"].map(folder.file) + [self.downloads] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
    }

    /// Where a step of `download` finds room.
    func file(_ name: String) -> String { folder.file("host/\(name)") }

    func text(_ name: String) -> String {
        FileManager.default.contents(atPath: file(name)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// - Returns: the status of the first command that failed, and what all of them printed.
    @discardableResult
    func run(_ steps: [GuestStep]) async throws -> Program.Outcome {
        let root = folder.file("root")
        var lines = [
            "mount -t overlay -o lowerdir=\(guest.root),upperdir=\(folder.file("upper")),"
                + "workdir=\(folder.file("work")) overlay \(root)",
            "mount --bind /proc \(root)/proc", "mount --bind /dev \(root)/dev",
            "for name in run tmp; do mount -t tmpfs tmpfs \(root)/$name; done",
            "mkdir -p \(root)\(GuestFolder.downloads)", "mount --bind \(downloads) \(root)\(GuestFolder.downloads)",
            "cp --remove-destination /etc/resolv.conf \(root)/etc/resolv.conf",
        ]
        for (index, step) in steps.enumerated() {
            switch step {
            case .makeFolder(let path):
                lines.append("mkdir -p \(root)\(path)")
            case .write(let path, let contents, let mode):
                let source = try folder.write(contents, to: "host/step-\(index)")
                lines.append("install -D -m \(String(mode, radix: 8)) \(source) \(root)\(path)")
            case .upload(let hostPath, let path, let mode):
                lines.append("install -D -m \(String(mode, radix: 8)) \(hostPath) \(root)\(path)")
            case .download(let path, let hostPath):
                lines.append("cp \(root)\(path) \(hostPath)")
            case .run(let command):
                let environment = command.environment.map { "\($0.key)=\($0.value)" }
                let isolation = command.network ? [] : ["unshare", "--net", "--"]
                let words = isolation + ["chroot", root, "/usr/bin/env", "-i"] + environment + command.arguments
                lines.append(words.map(\.shellQuoted).joined(separator: " ") + " < /dev/null 2>&1")
            default:
                throw FlashlayerError(.fault, "this machine cannot do \(step)")
            }
        }
        return try await Program("unshare", debianPackage: "util-linux").outcome([
            "--mount", "--propagation", "private", "bash", "-euc",
            PrivateMounts.forgetOthers + lines.joined(separator: "\n"),
        ])
    }

    /// Adds the repository, as a layer would.
    func addRepository(_ address: String) async throws {
        try await run(DnfMachine.repositoryFiles(guest, address).map { .write("/\($0)", contents: $1, mode: 0o644) })
    }

    /// What a layer has in its `configs/` to bring the repository. The key is fetched by the repository's own file.
    static func repositoryFiles(_ guest: DnfGuest, _ address: String) throws -> [(String, String)] {
        let key = FileManager.default.contents(atPath: guest.key).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return [
            (
                "etc/yum.repos.d/rig.repo",
                "[rig]\nname=Rig\nbaseurl=\(address)\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-rig\n"
            ), ("etc/pki/rpm-gpg/RPM-GPG-KEY-rig", key),
        ]
    }
}
