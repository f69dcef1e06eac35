// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import FoundationEssentials
import Glibc
import ImageBuilder
import Layers
import Model
import Programs
import Resolution
import Synchronization
import TestSupport
import Testing

/// One appliance at a time: there are two processors.
@Suite("Builds", .serialized, .enabled(if: getuid() == 0, "bootstrapping needs root"))
struct BuildTests {
    // MARK: - What is built

    @Test("an image comes with its block map and its description, and both tell the truth")
    func outputs() async throws {
        let built = try await Fixture.shared.built()
        let folder = built.folder
        let raw = folder.file("tested.raw")
        try await Program("qemu-img", debianPackage: "qemu-utils").run([
            "convert", "-O", "raw", folder.file("tested.qcow2"), raw,
        ])
        let digest = try await Program("sha256sum", debianPackage: "coreutils").run([raw])
        #expect(digest.hasPrefix(built.result.rawSha256.hex))

        let data = try #require(FileManager.default.contents(atPath: folder.file("tested.json")))
        let description = try JSONDecoder().decode(JSONValue.self, from: data)
        #expect(description["rawSha256"]?.text == built.result.rawSha256.hex)
        #expect(description["imageDigest"]?.text == built.result.imageDigest.description)
        #expect(description["size"]?.number == Double(2 * ByteSize.gibibyte))
        #expect(description["flashlayerVersion"]?.text == Version.string)
        guard case .array(let packages)? = description["packages"], case .array(let layers)? = description["layers"]
        else {
            Issue.record("packages and layers are lists")
            return
        }
        #expect(packages.contains { $0["name"]?.text == "jq" && $0["version"]?.text?.isEmpty == false })
        #expect(packages.count > 100)
        #expect(layers.map { $0["name"]?.text } == ["common", "site", "os-base", "custom"])
        let map = try #require(FileManager.default.contents(atPath: folder.file("tested.bmap")))
        #expect(String(decoding: map, as: UTF8.self).contains("<ImageSize>\(2 * ByteSize.gibibyte)</ImageSize>"))
        try await files(in: raw)
    }

    /// As debugfs(8) reads them, without mounting or booting.
    private func files(in raw: String) async throws {
        let debugfs = try Program("debugfs", debianPackage: "e2fsprogs")
        func ask(_ request: String) async throws -> String {
            try await debugfs.run(["-R", request, "\(raw)?offset=\(66 << 20)"])
        }
        #expect(try await ask("stat /etc/machine-id").contains(" Size: 0\n"))
        #expect(try await ask("stat /bin").contains("Type: symlink"))
        #expect(try await ask("stat /usr/bin/hello").contains("Mode:  0755"))
        #expect(try await ask("cat /etc/motd") == "of site\n")
        #expect(try await ask("cat /var/log/kept.log") == "kept\n")
        #expect(try await ask("cat /var/log/dpkg.log").isEmpty)
        // debugfs says nothing on standard output of a file that is not there.
        for path in TestProject.leftovers { #expect(try await ask("stat \(path)").isEmpty, "\(path)") }
        #expect(try await ask("cat /var/lib/dhcp/placed.leases") == "kept\n")
        #expect(try await ask("cat /root/.cache/models/model") == "wanted\n")
        #expect(try await ask("cat /root/.ssh/authorized_keys").hasPrefix("ssh-ed25519 "))
        let keys = try await ask("ls /etc/ssh")
        #expect(keys.contains("sshd_config") && !keys.contains("ssh_host"))
        #expect(try await !ask("ls /var/lib/apt/lists").contains("Packages"))
        #expect(try await !ask("ls /usr/sbin").contains("policy-rc.d"))
        #expect(try await !ask("ls /usr/sbin").contains(".deferred"))
        #expect(try await !ask("ls /etc/apt/apt.conf.d").contains("mmdebstrap"))
        #expect(try await ask("cat /etc/hostname") == "tester\n")
        // The labels of SELinux, also of what was written last and of what lies behind a link.
        for (path, type) in [("/etc/shadow", "etc_t"), ("/etc/machine-id", "etc_t"), ("/usr/bin/hello", "bin_t")] {
            #expect(try await ask("ea_get -V \(path) security.selinux").hasPrefix("system_u:object_r:\(type):s0"))
        }
        #expect(try await !ask("ls /").contains(".autorelabel"))
        let attributes = try await ask(OddFiles.attributes.request)
        for found in OddFiles.attributes.found { #expect(attributes.contains(found), "\(attributes)") }
    }

    @Test("the log and the events tell what happened: phases in order, scripts line by line, what was left running")
    func events() async throws {
        let built = try await Fixture.shared.built()
        let finished = built.events.compactMap { event -> Phase? in
            switch event {
            case .finished(let phase, _), .cached(let phase): phase
            default: nil
            }
        }
        #expect(finished == Phase.allCases)
        #expect(
            built.events.contains(.output(source: "common/10-common.sh", line: "a line of the common script"))
        )
        #expect(
            built.events.contains { event in
                if case .warning(let text) = event {
                    text.contains("10-common.sh") && text.contains("sleep")
                } else {
                    false
                }
            }
        )
        let data = try #require(FileManager.default.contents(atPath: built.folder.file("tested.log")))
        let log = String(decoding: data, as: UTF8.self)
        #expect(log.contains("common/10-common.sh: a line of the common script"))
        #expect(!log.contains(TestProject.TestUsers.hash))
    }

    @Test(
        "a disk that it was written to boots by BIOS and by UEFI with Secure Boot, and shows all that the layers brought"
    )
    func boots() async throws {
        let built = try await Fixture.shared.built()
        // Larger than the image: at first boot the root takes the rest.
        let loop = try LoopDevice(size: 4 * ByteSize.gibibyte)
        defer { loop.close() }
        let written = try await FlashlayerProgram.run([
            "write", built.result.image, loop.path, "--allow", "virtual", "--yes",
        ])
        #expect(written.status == 0, "\(written.errors)")
        let test = BootTest(
            loop.path,
            firmware: [.bios, .secureBoot],
            // Other machines are emulated beside it.
            timeLimit: .seconds(1800),
            units: ["ssh.service", "getty@tty1.service"],
            checks: [
                "test \"$(readlink /bin)\" = usr/bin",
                "test \"$(greet)\" = hello",
                "test \"$(cat /etc/common-result)\" = 'common scripts lobby /'",
                "test \"$(cat /etc/site-result)\" = 'perl site hello'",
                "test \"$(grep -c ^SITE= /etc/environment)\" = 1 && grep -x SITE=lobby /etc/environment",
                "test \"$(stat -c '%U:%G %a' /etc/owned)\" = 'www-data:adm 640'",
                "test \"$(cat /etc/custom-result | tr '\\n' ,)\" = 'hello from the lobby,jq,os-base 1,'",
                "CUSTOM_SITE=here symlink-to-something | grep -x 'hello from here'",
                "/opt/tested/venv/bin/python -c 'import six; print(six.__version__)' | grep -x 1.16.0",
                "test \"$(hostname)\" = tester",
                "test \"$(readlink /etc/localtime)\" = /usr/share/zoneinfo/Europe/Berlin",
                "jq --version && apt-mark showmanual | grep -x jq && apt-mark showauto | grep -x libjq1",
                "test -z \"$(dpkg --audit)\"",
                "test \"$(id kiosk)\" = 'uid=4242(kiosk) gid=4242(kiosk) groups=4242(kiosk),27(sudo),'\"$(getent group _ssh | cut -d: -f3)(_ssh)\"",
                "test \"$(cd /srv/homes/kiosk && stat -c '%n %U:%G %a' .ssh .ssh/authorized_keys | tr '\\n' ' ')\" = "
                    + "'.ssh kiosk:kiosk 700 .ssh/authorized_keys kiosk:kiosk 600 '",
                "perl -e 'exit crypt(\"kiosk\", (getpwnam \"kiosk\")[1]) ne (getpwnam \"kiosk\")[1]'",
                "test \"$(getent passwd kiosk)\" = \"kiosk:x:4242:4242:The kiosk's own:/srv/homes/kiosk:/bin/bash\"",
                "getent passwd games | grep -x 'games:x:5:60:games:/usr/games:/bin/sh' && passwd -S games | grep '^games L'",
                "ssh-keygen -l -f /root/.ssh/authorized_keys && su kiosk -c 'cat ~/.ssh/authorized_keys' | ssh-keygen -l -f -",
                "test -s /etc/machine-id && test -s /etc/ssh/ssh_host_ed25519_key",
                "find / -xdev -name '*flashlayer*' ! -path '*flashlayer-boot-test*' | grep . && exit 1; exit 0",
                // The disk is larger than the image: the root has taken it.
                "test \"$(findmnt --noheadings --bytes --output SIZE / | tr -d ' ')\" -gt 3000000000",
            ] + OddFiles.checks,
            serialLogs: built.folder.path
        )
        for outcome in try await test.run(cache: try Cache(), observer: { _ in }) {
            #expect(outcome.error == nil, "\(outcome.error.map { "\($0)" } ?? "")")
            #expect(outcome.report?.checks.count == test.assertions.count)
            let log = FileManager.default.contents(atPath: outcome.serialLog) ?? Data()
            #expect(String(decoding: log, as: UTF8.self).contains("Linux version"), "kept of a good boot")
        }
    }

    @Test("a second build of the same starts no appliance, and gives the same image")
    func again() async throws {
        let built = try await Fixture.shared.built()
        let events = Events()
        let output = ImageOutput(path: built.folder.file("again.raw"), format: .raw)
        let result = try await ImageBuild(
            try await TestProject.resolve(built.folder),
            output: output,
            cache: try Cache()
        ).run { events.append($0) }
        #expect(
            events.all.filter { if case .cached = $0 { true } else { false } } == Phase.allCases.map { .cached($0) }
        )
        #expect(!events.all.contains { if case .started = $0 { true } else { false } })
        #expect(result.rawSha256 == built.result.rawSha256)
        #expect(result.packages == built.result.packages)
        unsafe unlink(output.path)
    }

    @Test("an image that is given is built upon: found out, made larger, and never changed")
    func givenImage() async throws {
        let built = try await Fixture.shared.built()
        let folder = try TemporaryFolder()
        let before = try await Program("sha256sum", debianPackage: "coreutils").run([built.result.image])
        try folder.write(
            """
            name = "upon"
            version = "1.0.0"
            [base]
            image = "\(built.result.image)"
            [image]
            size = "3G"
            [[layer]]
            type = "local"
            path = "layers/one"
            """,
            to: "flashlayer.toml"
        )
        try folder.write(
            "#!/bin/sh\nset -e\ntest \"$(df --output=size -B1 / | tail -n 1)\" -gt 2800000000\ngreet > /etc/upon\n",
            to: "layers/one/scripts/10-look",
            mode: 0o755
        )
        let cache = Cache(path: folder.file("cache"))
        let result = try await ImageBuild(
            try await TestProject.resolve(folder),
            output: ImageOutput(path: folder.file("upon.raw"), format: .raw),
            cache: cache
        ).run { _ in }
        #expect(result.size == 3 * ByteSize.gibibyte)
        let text = try await Program("debugfs", debianPackage: "e2fsprogs").run([
            "-R", "cat /etc/upon", "\(result.image)?offset=\(66 << 20)",
        ])
        #expect(text == "hello\n")
        #expect(try await Program("sha256sum", debianPackage: "coreutils").run([built.result.image]) == before)
    }

    // MARK: - What goes wrong

    /// Builds, expects a failure, and that nothing of it is left.
    ///
    /// - Parameter kept: is given the path of the disk, which is then gone; nil: none is to be kept.
    private func failure(
        of plan: Plan,
        in folder: TemporaryFolder,
        kept: ((String) async throws -> Void)? = nil
    ) async throws -> FlashlayerError? {
        let cache = try await Fixture.shared.cache(in: folder)
        let output = ImageOutput(path: folder.file("out.qcow2"), format: .qcow2)
        let error = await #expect(throws: FlashlayerError.self) {
            let project = ResolvedProject(plan)
            _ = try await ImageBuild(project, output: output, cache: cache, keepsFailed: kept != nil).run { _ in }
        }
        if let kept {
            try await kept(output.failedDisk)
            unsafe unlink(output.failedDisk)
        }
        try expectNothingLeft(in: folder, cache)
        return error
    }

    private func expectNothingLeft(in folder: TemporaryFolder, _ cache: Cache) throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(
            Set(names).isSubset(of: ["cache", "flashlayer.lock", "flashlayer.toml", "layers", "out.log"]),
            "left behind: \(names)"
        )
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(cache.path)/work").isEmpty)
        let locks = try FileManager.default.contentsOfDirectory(atPath: "\(cache.path)/base/.").filter {
            $0.hasSuffix(".lock")
        }
        #expect(locks.isEmpty)
        let processes = Self.processes(naming: cache.path)
        #expect(processes.isEmpty, "still running: \(processes)")
    }

    /// Command lines of processes that have to do with a path.
    private static func processes(naming path: String) -> [String] {
        let ids = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return ids.filter { Int($0) != nil }.compactMap { id in
            FileManager.default.contents(atPath: "/proc/\(id)/cmdline").map { String(decoding: $0, as: UTF8.self) }
        }.filter { $0.contains(path) }
    }

    @Test(
        "a script that fails ends the build with its layer, name, status and last lines; the disk is kept if asked for"
    )
    func failingScript() async throws {
        let folder = try TemporaryFolder()
        let plan = try TestProject.plan(
            scripts: [
                "10-ok": "#!/bin/sh\necho so far > /etc/so-far\n", "20-bad": "#!/bin/sh\necho going wrong\nexit 7\n",
                "30-never": "#!/bin/sh\n",
            ],
            in: folder
        )
        let error = try #require(
            try await failure(of: plan, in: folder) { disk in
                let raw = folder.file("cache/kept.raw")
                try await Program("qemu-img", debianPackage: "qemu-utils").run(["convert", "-O", "raw", disk, raw])
                let text = try await Program("debugfs", debianPackage: "e2fsprogs").run([
                    "-R", "cat /etc/so-far", "\(raw)?offset=\(66 << 20)",
                ])
                #expect(text == "so far\n", "what was done until then is on it")
                unsafe unlink(raw)
            }
        )
        #expect(error.code == .scriptFailed)
        #expect(error.advice?.contains("out.failed.qcow2") == true)
        #expect(error.message == "script 20-bad of layer one ended with status 7:\n  going wrong")
    }

    @Test("a package that does not exist is named, with the layer that asks for it, before any appliance starts")
    func unknownPackage() async throws {
        let folder = try TemporaryFolder()
        let plan = try TestProject.plan(scripts: [:], packages: "jq\nno-such-thing\n", in: folder)
        let error = try #require(try await failure(of: plan, in: folder))
        #expect(error.code == .packagesFailed)
        #expect(error.message.contains("'no-such-thing' (asked for by one)"))
    }

    @Test("a guest without space is told from other failures, with what would help")
    func fullGuest() async throws {
        let folder = try TemporaryFolder()
        let plan = try TestProject.plan(
            scripts: ["10-fill": "#!/bin/sh\nset -e\nfallocate -l 3G /filler\n"],
            in: folder
        )
        let error = try #require(try await failure(of: plan, in: folder))
        #expect(error.code == .guestFull)
        #expect(error.advice?.contains("[image] size") == true)
    }

    @Test("a disk of this machine that is full ends the build with one message")
    func fullHost() async throws {
        let folder = try TemporaryFolder()
        let plan = try TestProject.plan(
            scripts: ["10-fill": "#!/bin/sh\nset -e\nhead -c 400M /dev/urandom > /filler\n"],
            in: folder
        )
        _ = try await Fixture.shared.cache(in: folder)
        let mount = folder.file("cache/work")
        try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: true)
        let program = try Program("mount", debianPackage: "mount")
        try await program.run(["-t", "tmpfs", "-o", "size=250M", "tmpfs", mount])
        let error = await #expect(throws: FlashlayerError.self) {
            _ = try await ImageBuild(
                ResolvedProject(plan),
                output: ImageOutput(path: folder.file("out.qcow2"), format: .qcow2),
                cache: Cache(path: folder.file("cache"))
            ).run { _ in }
        }
        try expectNothingLeft(in: folder, Cache(path: folder.file("cache")))
        try await Program("umount", debianPackage: "mount").run([mount])
        #expect(error?.code == .noSpace)
        #expect(error?.message.contains(mount) == true)
    }

    @Test("a build that is cancelled in a phase leaves nothing", arguments: Phase.allCases)
    func cancelled(phase: Phase) async throws {
        let folder = try TemporaryFolder()
        let plan = try TestProject.plan(
            scripts: phase == .finish ? [:] : ["10-wait": "#!/bin/sh\necho waiting\nexec sleep 1000\n"],
            packages: phase == .packages ? "jq\n" : "",
            in: folder
        )
        let cache =
            phase == .base ? Cache(path: folder.file("cache")) : try await Fixture.shared.cache(in: folder)
        let build = ImageBuild(
            ResolvedProject(plan),
            output: ImageOutput(path: folder.file("out.qcow2"), format: .qcow2),
            cache: cache
        )
        let (moments, moment) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            defer { moment.finish() }
            return try await build.run { event in
                if Self.isMoment(event, in: phase) { moment.yield() }
            }
        }
        for await _ in moments { break }
        let start = ContinuousClock.now
        task.cancel()
        await #expect(throws: CancellationError.self) { _ = try await task.value }
        #expect(ContinuousClock.now - start < .seconds(600), "the script sleeps for longer")
        try expectNothingLeft(in: folder, cache)
    }

    private static func isMoment(_ event: BuildEvent, in phase: Phase) -> Bool {
        switch (phase, event) {
        case (.base, .output("mmdebstrap", let line)): line.contains("installing remaining packages")
        case (.packages, .output("apt", let line)): line.contains("Unpacking")
        case (.scripts, .output("one/10-wait", _)): true
        case (.configs, .started(.configs)), (.finish, .started(.finish)): true
        default: false
        }
    }

    @Test("Ctrl-C ends the program with status 130, and nothing stays")
    func interrupted() async throws {
        let folder = try TemporaryFolder()
        _ = try TestProject.plan(scripts: ["10-wait": "#!/bin/sh\necho waiting\nexec sleep 1000\n"], in: folder)
        let cache = try await Fixture.shared.cache(in: folder)
        let outcome = try await FlashlayerProgram.script(
            """
            cd "$1"
            FLASHLAYER_CACHE=$1/cache "$flashlayer" build . -o out.qcow2 2> err &
            pid=$!
            until grep -qs 'one/10-wait: waiting' out.log; do
                kill -0 $pid 2> /dev/null || break
                sleep 0.2
            done
            kill -INT $pid
            wait $pid
            status=$?
            tail -n 1 err >&2
            rm -f err
            exit $status
            """,
            arguments: [folder.path]
        )
        #expect(outcome.status == 130)
        #expect(outcome.errors.contains("interrupted"))
        try expectNothingLeft(in: folder, cache)
    }
}
