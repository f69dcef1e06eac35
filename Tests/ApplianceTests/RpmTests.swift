// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import TestSupport
import Testing

/// Against a real dnf and a real pip, in a folder instead of in an appliance.
@Suite("Red Hat packages and Python packages", .serialized, .enabled(if: getuid() == 0, "chroot needs root"))
struct RpmTests {
    private static func requests(_ names: [String], by layer: String = "one") -> [RpmSteps.Request] {
        names.map { .init($0, origin: "asked for by \(layer)") }
    }

    private static func ask(_ command: String, into file: String) -> [GuestStep] {
        [
            .run(GuestCommand(shell: "{ \(command); } > /run/answer", source: "", title: "")),
            .download("/run/answer", hostPath: file),
        ]
    }

    private static let installed = "rpm -qa --qf '%{NAME}-%{VERSION}\\n' | grep -v gpg-pubkey | sort"

    /// Lines of a lock, for files of the repository: their digests are sha256sum's.
    private static func locked(_ files: [String], _ guest: DnfGuest) async throws -> [String] {
        var lines: [String] = []
        for file in files {
            let digest = try await Program("sha256sum", debianPackage: "coreutils").run(["\(guest.repository)/\(file)"])
            let parts = file.split(separator: "-")
            lines.append("\(parts[0])\t\(parts[1])-1\tnoarch\t\(digest.prefix(64))\t\(file)")
        }
        return lines
    }

    // MARK: - dnf

    @Test("removals, pins and what must not come happen in one transaction, and what came is written down")
    func transaction() async throws {
        let guest = try await DnfGuest.make()
        let server = try await FileServer(guest.repository)
        let machine = try DnfMachine(guest)
        try await machine.addRepository(server.address)
        let steps = RpmSteps.install(
            Self.requests(["tool-1.0", "-editor"]) + Self.requests(["new-editor", "-manual"], by: "two"),
            needed: ["python3"],
            manager: "dnf",
            recommends: true
        )
        let outcome = try await machine.run(
            steps + Self.ask(Self.installed, into: machine.file("installed"))
                + Self.ask("dnf -q -C history list | tail -n +3 | wc -l", into: machine.file("transactions"))
                + Self.ask("dnf -q -C history userinstalled | grep -c library || true", into: machine.file("user"))
                + Self.ask("find /var/cache/dnf -name '*.rpm' -o -name 'repomd.xml'", into: machine.file("left"))
                + [.download(RpmSteps.resolved, hostPath: machine.file("resolved"))]
        )
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(machine.text("installed") == "fedora-release-40\nlibrary-1.5\nnew-editor-1.0\ntool-1.0\n")
        #expect(machine.text("transactions") == "1\n")
        #expect(machine.text("user") == "0\n", "what nobody asked for is marked as asked for")
        #expect(machine.text("left").isEmpty)
        let expected = try await Self.locked(["library-1.5-1.noarch.rpm", "tool-1.0-1.noarch.rpm"], guest)
        let resolved = machine.text("resolved").split(separator: "\n").map(String.init)
        #expect(resolved.filter { !$0.hasPrefix("new-editor") } == expected)
        #expect(resolved.contains { $0.hasPrefix("new-editor\t1.0-1\tnoarch\t") })
    }

    @Test("recommended packages come unless the recipe says no", arguments: [true, false])
    func recommends(_ recommends: Bool) async throws {
        let guest = try await DnfGuest.make()
        let server = try await FileServer(guest.repository)
        let machine = try DnfMachine(guest)
        try await machine.addRepository(server.address)
        let outcome = try await machine.run(
            RpmSteps.install(
                Self.requests(["tool", "\(server.address)jq-1.7-1.noarch.rpm"]),
                manager: "dnf",
                recommends: recommends
            )
                + Self.ask(Self.installed, into: machine.file("installed"))
        )
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(machine.text("installed").contains("tool-2.0"))
        #expect(machine.text("installed").contains("jq-1.7"))
        #expect(machine.text("installed").contains("manual") == recommends)
    }

    @Test(
        "what does not land is an error that names the layer, alone or beside removals that would hide it",
        arguments: [[], ["-editor"]]
    )
    func unknown(_ others: [String]) async throws {
        let guest = try await DnfGuest.make()
        let server = try await FileServer(guest.repository)
        let machine = try DnfMachine(guest)
        try await machine.addRepository(server.address)
        let outcome = try await machine.run(
            RpmSteps.install(
                Self.requests(["tool"] + others) + Self.requests(["no-such", "tool-9"], by: "two"),
                manager: "dnf",
                recommends: nil
            )
        )
        #expect(outcome.status != 0)
        for name in ["no-such", "tool-9"] {
            let message = "the guest's package sources have no package '\(name)' (asked for by two)"
            #expect(outcome.output.contains(message), "\(outcome.output)")
        }
        #expect(!outcome.output.contains("'tool'"))
    }

    @Test("a package whose signature is missing, and a repository that does not answer, are errors")
    func untrusted() async throws {
        let guest = try await DnfGuest.make()
        let server = try await FileServer(guest.repository)
        let machine = try DnfMachine(guest)
        try await machine.addRepository(server.address)
        let unsigned = try await machine.run(
            RpmSteps.install(Self.requests(["unsigned"]), manager: "dnf", recommends: nil)
        )
        #expect(unsigned.status != 0)
        #expect(unsigned.output.contains("is not signed"), "\(unsigned.output)")
        await server.stop()
        let silent = try await machine.run(
            RpmSteps.install(Self.requests(["tool"]), manager: "dnf", recommends: nil)
        )
        #expect(silent.status != 0)
        #expect(silent.output.contains("Failed to download metadata for repo 'rig'"), "\(silent.output)")
    }

    @Test("a lock brings its versions, from the cache alone where there is no network, and nothing else")
    func locked() async throws {
        let guest = try await DnfGuest.make()
        let server = try await FileServer(guest.repository)
        let first = try DnfMachine(guest)
        try await first.addRepository(server.address)
        let lock = try await Self.locked(["library-1.5-1.noarch.rpm", "tool-1.0-1.noarch.rpm"], guest)
        func install(_ machine: DnfMachine, _ lock: [String], offline: Bool = false) async throws -> Program.Outcome {
            try await machine.run(
                RpmSteps.install(
                    Self.requests(["tool"]),
                    manager: "dnf",
                    recommends: nil,
                    locked: lock,
                    isOffline: offline
                ) + Self.ask(Self.installed, into: machine.file("installed"))
            )
        }
        let cold = try await install(first, lock, offline: true)
        #expect(cold.output.contains("tool-1.0-1.noarch.rpm of the lock is not in the cache, and there is no network"))

        // Not the newest one, and without what it recommends: the lock has neither.
        let online = try await install(first, lock)
        #expect(online.status == 0, "\(online.output)")
        #expect(first.text("installed") == "editor-1.0\nfedora-release-40\nlibrary-1.5\ntool-1.0\n")

        let other = try await install(
            try DnfMachine(guest, downloads: first.downloads).withRepository(server.address),
            lock.map { $0.replacing(/\t[0-9a-f]{8}/, with: "\t00000000") }
        )
        #expect(other.status != 0)
        #expect(other.output.contains("this is not what the lock names: tool"), "\(other.output)")

        await server.stop()
        let second = try await DnfMachine(guest, downloads: first.downloads).withRepository(server.address)
        let offline = try await install(second, lock, offline: true)
        #expect(offline.status == 0, "\(offline.output)")
        #expect(second.text("installed") == first.text("installed"))

        // The lists may have moved on, or be gone: the files are known by their digests.
        try await Program("find", debianPackage: "findutils").run([
            first.downloads, "-name", "*.solv*", "-delete", "-o", "-name", "repomd.xml", "-delete",
        ])
        let third = try await DnfMachine(guest, downloads: first.downloads).withRepository(server.address)
        let listless = try await install(third, lock, offline: true)
        #expect(listless.status == 0, "\(listless.output)")
        #expect(third.text("installed") == first.text("installed"))
    }

    /// Each stands in for a package manager of the family: it speaks that one's language, and lets dnf do the work.
    @Test(
        "the other managers of the family are spoken to in their own words",
        arguments: [
            ("yum", "yum", #"exec /usr/bin/dnf-3 "$@""#, "metadata_expire=1"),
            (
                "dnf", "dnf5",
                #"""
                options= jobs= action=
                for word in "$@"; do
                    case $word in
                        --refresh | --exclude=* | --setopt=gpgcheck=* | -y) options="$options $word" ;;
                        --action=*) action=${word#--action=} ;;
                        do | -*) ;;
                        *) jobs="$jobs$action $word
                        " ;;
                    esac
                done
                echo "${jobs}run" > /run/jobs
                exec /usr/bin/dnf-3 $options shell /run/jobs
                """#, "do --action=remove editor --action=install tool-1.0 new-editor"
            ),
            (
                "tdnf", "tdnf",
                #"""
                case $* in *remove*) exec /usr/bin/rpm -e --nodeps editor ;; esac
                exec /usr/bin/dnf-3 "$@"
                """#, "install tool-1.0 new-editor"
            ),
            (
                "zypper", "zypper",
                #"""
                while [ "$1" != -- ]; do shift; done
                shift
                for word in "$@"; do
                    case $word in
                        -manual) ;;
                        -*) echo "remove ${word#-}" ;;
                        *) echo "install $word" ;;
                    esac
                done > /run/jobs
                echo run >> /run/jobs
                exec /usr/bin/dnf-3 -y --exclude=manual shell /run/jobs
                """#, "install --no-recommends -- tool-1.0 new-editor -editor -manual"
            ),
        ]
    )
    func family(manager: String, program: String, text: String, words: String) async throws {
        let guest = try await DnfGuest.make()
        let server = try await FileServer(guest.repository)
        let machine = try DnfMachine(guest)
        try await machine.addRepository(server.address)
        let record = "#!/bin/sh\nprintf '%s ' \"$@\" >> /run/words\n" + text + "\n"
        var standIn: [GuestStep] = [
            .write("/run/stand-in", contents: record, mode: 0o755),
            .run(
                GuestCommand(
                    shell: "rm -f /usr/bin/\(program); cp /run/stand-in /usr/bin/\(program)",
                    source: "",
                    title: ""
                )
            ),
        ]
        if program != manager {
            standIn.append(.run(GuestCommand(shell: "ln -sf \(program) /usr/bin/\(manager)", source: "", title: "")))
        }
        let outcome = try await machine.run(
            standIn
                + RpmSteps.install(
                    Self.requests(["tool-1.0", "new-editor", "-editor", "-manual"]),
                    manager: manager,
                    recommends: false
                ) + [.download("/run/words", hostPath: machine.file("words"))]
                + Self.ask(Self.installed, into: machine.file("installed"))
        )
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(machine.text("words").contains(words), "\(machine.text("words"))")
        #expect(machine.text("installed") == "fedora-release-40\nlibrary-1.5\nnew-editor-1.0\ntool-1.0\n")
    }

    // MARK: - pip

    private static let six =
        "six\t1.16.0\tany\t8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254\t"
        + "six-1.16.0-py2.py3-none-any.whl"

    private static func pip(
        _ requirements: [String],
        _ python: ImageSettings.Python,
        locked: [String]? = nil,
        offline: Bool = false
    ) -> [GuestStep] {
        PipSteps.install(
            requirements,
            python: python,
            name: "rig",
            hostCertificates: "/etc/ssl/certs/ca-certificates.crt",
            locked: locked,
            isOffline: offline
        )
    }

    @Test("Python packages go into the venv, as wheels that are kept: the next build needs no network")
    func venv() async throws {
        let guest = try await DnfGuest.make()
        let first = try DnfMachine(guest)
        let never = try await first.run(Self.pip(["six<1.17"], .venv, offline: true))
        #expect(never.status != 0)
        #expect(never.output.contains("these Python packages were never fetched before"), "\(never.output)")
        let python = "/opt/rig/venv/bin/python -c 'import six; print(six.__version__)'"
        let online = try await first.run(
            Self.pip(["six<1.17"], .venv) + Self.ask(python, into: first.file("six"))
                + Self.ask("find /opt -name direct_url.json", into: first.file("places"))
                + [.download(PipSteps.resolved, hostPath: first.file("resolved"))]
        )
        #expect(online.status == 0, "\(online.output)")
        #expect(first.text("six") == "1.16.0\n")
        #expect(first.text("places").isEmpty, "where the wheel lay during the build is written down")
        #expect(first.text("resolved") == Self.six + "\n")

        for lock in [nil, [Self.six]] {
            let second = try DnfMachine(guest, downloads: first.downloads)
            let offline = try await second.run(
                Self.pip(["six<1.17"], .venv, locked: lock, offline: true)
                    + Self.ask(python, into: second.file("six"))
            )
            #expect(offline.status == 0, "\(offline.output)")
            #expect(second.text("six") == "1.16.0\n")
        }
    }

    @Test("requirements that are places, and options that are for choosing, do not lead back to the network")
    func places() async throws {
        let guest = try await DnfGuest.make()
        let machine = try DnfMachine(guest)
        let fetched = try await machine.run(Self.pip(["six"], .system, locked: [Self.six]))
        #expect(fetched.status == 0, "\(fetched.output)")
        let fields = Self.six.split(separator: "\t")
        let server = try await FileServer("\(machine.downloads)/wheels/\(fields[3])")
        let outcome = try await machine.run(
            Self.pip(["--index-url \(server.address)none", "--pre", "six @ \(server.address)\(fields[4])"], .venv)
                + Self.ask("/opt/rig/venv/bin/pip list", into: machine.file("list"))
                + [.download(PipSteps.resolved, hostPath: machine.file("resolved"))]
        )
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(machine.text("list").contains("1.16.0"))
        #expect(machine.text("resolved") == Self.six + "\n")
    }

    @Test(
        "the system's Python is told that it is meant, and keeps its marker; a wheel other than the lock's is refused"
    )
    func system() async throws {
        let guest = try await DnfGuest.make()
        let machine = try DnfMachine(guest)
        let outcome = try await machine.run(
            Self.pip(["six"], .system, locked: [Self.six])
                + Self.ask("python3 -c 'import six; print(six.__version__)'", into: machine.file("six"))
                + Self.ask("ls /usr/lib/python3*/EXTERNALLY-MANAGED | wc -l", into: machine.file("markers"))
        )
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(machine.text("six") == "1.16.0\n")
        #expect(machine.text("markers") == "1\n")
        let other = try await DnfMachine(guest).run(
            Self.pip(["six"], .system, locked: [Self.six.replacing("8abb2f1d", with: "00000000")])
        )
        #expect(other.status != 0)
        #expect(other.output.contains("is not, or no longer, the one that the lock names"), "\(other.output)")
    }
}

extension DnfMachine {
    fileprivate func withRepository(_ address: String) async throws -> DnfMachine {
        try await addRepository(address)
        return self
    }
}
