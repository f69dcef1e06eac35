// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import ImageBuilder
import Layers
import Model
import Programs
import Resolution
import Synchronization
import TestSupport

/// A project on disk that exercises what layers can do; `[base]` and `[image]` are those of examples/kiosk, so that both
/// start from one bootstrap.
enum TestProject {
    private static let head = """
        name = "tested"
        version = "1.0.0"
        [image]
        size = "2G"
        firmware = ["bios", "uefi"]
        kernel-arguments = ["console=tty0", "console=ttyS0"]

        """

    static func write(to folder: TemporaryFolder) async throws {
        let template = try await templateRepository(in: folder)
        try folder.write(
            head + """
                hostname = "tester"
                timezone = "Europe/Berlin"
                locale = "C.UTF-8"
                [packages]
                recommends = false
                [[user]]
                name = "root"
                authorized-keys = ["\(TestUsers.key)"]
                [[user]]
                name = "kiosk"
                uid = 4242
                # The first is brought by openssh-client, the other is there from the beginning.
                groups = ["_ssh", "sudo"]
                home = "/srv/homes/kiosk"
                comment = "The kiosk's own"
                password = "\(TestUsers.hash)"
                authorized-keys = ["\(TestUsers.key)"]
                [[user]]
                name = "games"
                shell = "/bin/sh"
                password = "!"
                [[layer]]
                type = "local"
                path = "layers/site"
                [[layer]]
                name = "custom"
                type = "git"
                url = "\(template)"
                branch_or_tag = "main"
                """,
            to: "flashlayer.toml"
        )
        try common(folder)
        try policy(folder)
        try site(folder)
    }

    /// Made by ssh-keygen(1) and crypt(3) for this test; the password is "kiosk".
    enum TestUsers {
        static let hash =
            "$6$abcdefghijklmnop$"
            + "WIsSZ9Uxy/HAAjSNkIgTViLqDMte5ntctk4/628JAB3KddZVvOk3sFlXyXQgK9fqeCjgtrrgttJxBOdXNvGiK/"
        static let key =
            "ssh-ed25519 "
            + "AAAAC3NzaC1lZDI1NTE5AAAAIKQv6KKC5zxm6/8GKG+KcbTICVQTXx/hc8YMUEe6bX/o ops@example"
    }

    /// What a system that has run leaves.
    static let leftovers = [
        "/root/.bash_history", "/srv/homes/kiosk/.python_history", "/root/.cache/pip/http/a",
        "/var/lib/dhcp/dhclient.leases",
        "/var/lib/NetworkManager/secret_key", "/var/lib/cloud/instances/i-1/user-data.txt", "/etc/shadow-",
        "/etc/udev/rules.d/70-persistent-net.rules", "/var/log/messages-20260101", "/var/log/journal/1/system.journal",
        "/var/crash/a.crash", "/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret",
        "/var/lib/systemd/timers/stamp-a.timer", "/etc/lvm/archive/a.vg", "/var/tmp/a",
        "/etc/ssh/ssh_host_rsa_key", "/var/backups/dpkg.status.0", "/etc/nvme/hostnqn", "/var/lib/apt/lists/a_Release",
    ]

    /// The layer of examples/os-layer-template as a repository of its own, as such layers come. What it depends on lies
    /// among the project's layers.
    ///
    /// - Returns: its URL.
    static func templateRepository(in folder: TemporaryFolder) async throws -> String {
        let layers = "\(Checkout.root)/examples/os-layer-template/layers"
        let script = """
            mkdir -p layers
            cp -r "$1/os-base" layers/
            cp -r "$1/custom" template
            cd template
            git init --quiet --initial-branch main .
            git add --all
            git -c user.name=Rig -c user.email=rig@example.org commit --quiet --message Template
            """
        try await Program("bash", debianPackage: "bash").run(
            ["-euc", script, "bash", layers],
            workingDirectory: folder.path
        )
        return "file://\(folder.file("template"))"
    }

    private static func common(_ folder: TemporaryFolder) throws {
        try folder.write("# tools\njq\nopenssh-server\npolicycoreutils\n", to: "layers/common/packages/debs.txt")
        try folder.write("SITE=example\nTOOLS=jq\n", to: "layers/common/environment")
        try folder.write("of common\n", to: "layers/common/configs/etc/motd")
        try folder.write(
            """
            #!/bin/sh
            set -eu
            # A service that a careless script leaves running.
            sleep 1000 > /dev/null 2>&1 &
            echo "$FLASHLAYER_LAYER $FLASHLAYER_PHASE $SITE $(pwd)" > /etc/common-result
            echo "a line of the common script"
            # What a system that has run leaves, and what must not be in each copy of it.
            for path in \(leftovers.joined(separator: " ")); do
                mkdir -p "${path%/*}"
                echo left > "$path"
            done
            mkdir -p /root/.cache/models && echo wanted > /root/.cache/models/model
            """,
            to: "layers/common/scripts/10-common.sh",
            mode: 0o755
        )
    }

    /// Debian's kernel has SELinux, and leaves it off: what counts here is that files get the labels of this policy.
    private static func policy(_ folder: TemporaryFolder) throws {
        let place = "layers/common/configs/etc/selinux"
        try folder.write("SELINUX=permissive\nSELINUXTYPE=test\n", to: "\(place)/config")
        try folder.write(
            """
            /.*\tsystem_u:object_r:default_t:s0
            /etc(/.*)?\tsystem_u:object_r:etc_t:s0
            /usr/bin(/.*)?\tsystem_u:object_r:bin_t:s0

            """,
            to: "\(place)/test/contexts/files/file_contexts"
        )
    }

    private static func site(_ folder: TemporaryFolder) throws {
        let layer = "layers/site"
        try folder.write("common\n", to: "\(layer)/layer-dependencies")
        try folder.write("SITE=lobby\n", to: "\(layer)/environment")
        try folder.write("of site\n", to: "\(layer)/configs/etc/motd")
        // /bin is a link in the guest, and /var/run another, which leads to memory.
        try folder.write("#!/bin/sh\necho hello\n", to: "\(layer)/configs/bin/hello", mode: 0o755)
        try folder.write("kept\n", to: "\(layer)/configs/var/log/kept.log")
        try folder.write("kept\n", to: "\(layer)/configs/var/lib/dhcp/placed.leases")
        try folder.write("owned\n", to: "\(layer)/configs/etc/owned")
        try folder.write("etc/owned www-data:adm 0640\n" + OddFiles.owners, to: "\(layer)/owners")
        try OddFiles.write(earlier: "layers/common", later: layer, in: folder)
        try FileManager.default.createDirectory(
            atPath: folder.file("\(layer)/configs/usr/local/bin"),
            withIntermediateDirectories: true
        )
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("\(layer)/configs/usr/local/bin/greet"),
            withDestinationPath: "/bin/hello"
        )
        try folder.write(
            """
            #!/usr/bin/perl
            use strict;
            open(my $out, '>', '/etc/site-result') or die;
            print $out "perl $ENV{FLASHLAYER_LAYER} ", `greet`;
            """,
            to: "\(layer)/scripts/10-perl",
            mode: 0o755
        )
    }

    /// With its lock, as the program does it.
    static func resolve(_ folder: TemporaryFolder, lockUse: LockUse = .obey, isOffline: Bool = false) async throws
        -> ResolvedProject
    {
        try await ProjectResolver(cache: try Cache()).resolve(
            ProjectRequest(.recipe(path: folder.path), lockUse: lockUse, isOffline: isOffline)
        )
    }

    /// A plan with one layer of nothing but scripts: starts from the same base.
    static func plan(scripts: [String: String], packages: String = "", in folder: TemporaryFolder) throws -> Plan {
        try folder.write(head + "[[layer]]\ntype = \"local\"\npath = \"layers/one\"\n", to: "flashlayer.toml")
        try folder.write(packages, to: "layers/one/packages/debs.txt")
        for (name, text) in scripts { try folder.write(text, to: "layers/one/scripts/\(name)", mode: 0o755) }
        return try Plan(.recipe(path: folder.path))
    }
}

/// What is built once for all tests of a run.
actor Fixture {
    static let shared = Fixture()

    struct Built {
        let folder: TemporaryFolder
        let result: BuildResult
        let events: [BuildEvent]
    }

    private static let place = Mutex<String?>(nil)

    private static func remove() {
        if let path = place.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: path) }
    }

    private var building: Task<Built, any Error>?

    func built() async throws -> Built {
        if let building { return try await building.value }
        let task = Task {
            let folder = try TemporaryFolder()
            Self.place.withLock { $0 = folder.path }
            // A static value is never let go of, and this one is of gigabytes.
            atexit { Fixture.remove() }
            try await TestProject.write(to: folder)
            let events = Events()
            let result = try await ImageBuild(
                try await TestProject.resolve(folder),
                output: ImageOutput(path: folder.file("tested.qcow2"), format: .qcow2),
                cache: try Cache(),
                // Its log and events are looked at: it is to be built, whatever an earlier run left.
                refresh: [.packages]
            ).run { events.append($0) }
            return Built(folder: folder, result: result, events: events.all)
        }
        building = task
        return try await task.value
    }

    /// A cache of its own in which nothing but the shared bases is found: what a build leaves in it is this build's.
    func cache(in folder: TemporaryFolder) async throws -> Cache {
        _ = try await built()
        let shared = try Cache()
        let path = folder.file("cache")
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: "\(path)/base",
            withDestinationPath: "\(shared.path)/base"
        )
        return Cache(path: path)
    }
}

final class Events: Sendable {
    private let list = Mutex<[BuildEvent]>([])

    func append(_ event: BuildEvent) {
        list.withLock { $0.append(event) }
    }

    var all: [BuildEvent] { list.withLock { $0 } }
}
