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

/// What one build leaves for the next.
extension BuildMatrixTests {
    private static let secret = "hunter2-\(UUID().uuidString)"

    /// A project whose script uses a secret and an argument, in a cache of its own upon the shared base.
    private func makeProject(in folder: TemporaryFolder) async throws -> Cache {
        let script = """
            #!/bin/bash
            set -eu
            token=$(cat "$FLASHLAYER_SECRETS/token")
            echo "the token is $token"
            printf '%s' "$token" | sha256sum > /etc/token-sum
            printf '%s\\n' "$SITE" > /etc/site

            """
        _ = try TestProject.plan(scripts: ["10-secret": script], packages: "jq\n", in: folder)
        try folder.write("#!/bin/sh\ntrue\n", to: "layers/two/scripts/10-other", mode: 0o755)
        try folder.write("two\n", to: "layers/one/layer-dependencies")
        try folder.write(Self.secret + "\n", to: "token")
        return try await Fixture.shared.cache(in: folder)
    }

    private func build(_ folder: TemporaryFolder, _ cache: Cache, to name: String, _ events: Events) async throws
        -> BuildResult
    {
        let project = try await ProjectResolver(cache: cache).resolve(
            ProjectRequest(
                .recipe(path: folder.path),
                arguments: try BuildArgument.variables(["SITE=lobby"])
            )
        )
        return try await ImageBuild(
            project,
            output: ImageOutput(path: folder.file(name), format: .raw),
            cache: cache,
            secrets: [try BuildSecret("token=\(folder.file("token"))")]
        ).run { events.append($0) }
    }

    private func cached(_ events: Events) -> [Phase] {
        events.all.compactMap { if case .cached(let phase) = $0 { phase } else { nil } }
    }

    @Test("two builds at once do the work once; what they leave holds no secret, and serves without a network")
    func checkpoints() async throws {
        let folder = try TemporaryFolder()
        let cache = try await makeProject(in: folder)
        let (first, second) = (Events(), Events())
        async let one = build(folder, cache, to: "one.raw", first)
        async let two = build(folder, cache, to: "two.raw", second)
        let (result, other) = try await (one, two)
        #expect(result.rawSha256 == other.rawSha256)
        #expect([cached(first).count, cached(second).count].sorted() == [1, 5])

        try await expectNoSecret(in: folder)
        let debugfs = try Program("debugfs", debianPackage: "e2fsprogs")
        let sum = try await Program("sh", debianPackage: "dash").run([
            "-c", "printf %s \"$1\" | sha256sum", "sh", Self.secret,
        ])
        for (path, text) in [("/etc/token-sum", sum), ("/etc/site", "lobby\n")] {
            #expect(try await debugfs.run(["-R", "cat \(path)", "\(result.image)?offset=\(66 << 20)"]) == text)
        }

        // The image stays as it is as long as nobody touched it.
        let again = Events()
        let before = try FileIdentity(of: result.image)
        #expect(try await build(folder, cache, to: "one.raw", again) == result)
        #expect(cached(again) == Phase.allCases)
        #expect(try FileIdentity(of: result.image) == before)

        try await buildWithoutNetwork(folder, cache)
    }

    private func expectNoSecret(in folder: TemporaryFolder) async throws {
        let log = try String(contentsOfFile: folder.file("one.log"), encoding: .utf8)
        let otherLog = try String(contentsOfFile: folder.file("two.log"), encoding: .utf8)
        #expect((log + otherLog).contains("one/10-secret: the token is ***"))
        unsafe unlink(folder.file("token"))
        // The disks of the checkpoints, the images, the logs, the descriptions, the lock.
        let found = try await Program("grep", debianPackage: "grep").outcome([
            "--recursive", "--files-with-matches", "--text", "--fixed-strings", "--dereference-recursive", "--",
            String(Self.secret), folder.path,
        ])
        #expect(found.status == 1, "\(found.output)")
        for image in try FileManager.default.contentsOfDirectory(atPath: folder.file("cache/checkpoints")) {
            let disk = folder.file("cache/checkpoints/\(image)/disk.qcow2")
            guard FileManager.default.fileExists(atPath: disk) else { continue }
            let raw = folder.file("checkpoint.raw")
            try await Program("qemu-img", debianPackage: "qemu-utils").run(["convert", "-O", "raw", disk, raw])
            let found = try await Program("grep", debianPackage: "grep").outcome(["-caF", "--", Self.secret, raw])
            #expect(found.output == "0\n", "\(disk)")
            unsafe unlink(raw)
        }
        try folder.write(Self.secret + "\n", to: "token")
    }

    /// By the program, in a network namespace that leads nowhere.
    private func buildWithoutNetwork(_ folder: TemporaryFolder, _ cache: Cache) async throws {
        try folder.write("#!/bin/sh\n! getent hosts deb.debian.org\n", to: "layers/one/scripts/20-new", mode: 0o755)
        let outcome = try await FlashlayerProgram.script(
            """
            cd "$1"
            FLASHLAYER_CACHE=$1/cache unshare --net -- "$flashlayer" build --offline --locked --set SITE=lobby \\
                --secret token=token -o offline.qcow2
            """,
            arguments: [folder.path]
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        let lines = outcome.errors.split(separator: "\n").map(String.init)
        for phase in ["base", "packages", "configs"] {
            #expect(lines.contains { $0.hasPrefix(phase) && $0.hasSuffix("cached") }, "\(outcome.errors)")
        }
        // Those of the layer before are not run again.
        let log = try String(contentsOfFile: folder.file("offline.log"), encoding: .utf8)
        #expect(!log.contains("== scripts: cached"))

        try folder.write("jq\nnano\n", to: "layers/one/packages/debs.txt")
        for (option, code) in [("--locked", "lock-drift"), ("--offline", "unavailable")] {
            let refused = try await FlashlayerProgram.run(
                ["build", folder.path, option, "-o", folder.file("x.qcow2")],
                environment: ["FLASHLAYER_CACHE": cache.path]
            )
            #expect(refused.errors.contains("[\(code)]"), "\(refused.errors)")
            #expect(refused.errors.contains("package nano is new"), "\(refused.errors)")
        }
    }

    @Test("a build that is killed leaves no checkpoint but those that were complete")
    func killed() async throws {
        let folder = try TemporaryFolder()
        _ = try TestProject.plan(scripts: ["10-wait": "#!/bin/sh\necho waiting\nexec sleep 1000\n"], in: folder)
        try folder.write("early\n", to: "layers/one/configs/etc/early")
        let cache = try await Fixture.shared.cache(in: folder)
        let outcome = try await FlashlayerProgram.script(
            """
            cd "$1"
            FLASHLAYER_CACHE=$1/cache "$flashlayer" build . -o out.qcow2 2> /dev/null &
            pid=$!
            until grep -qs 'one/10-wait: waiting' out.log; do
                kill -0 $pid 2> /dev/null || break
                sleep 0.2
            done
            kill -KILL $pid
            wait $pid
            # Whatever it had started ends by itself, and what cleans up behind it may begin a moment later.
            quiet=0
            for _ in $(seq 300); do
                if pgrep -f "$1/cache/work" > /dev/null; then quiet=0; else quiet=$((quiet + 1)); fi
                [ $quiet -ge 10 ] && break
                sleep 0.2
            done
            pgrep -af "$1/cache/work"
            ls "$1"
            """,
            arguments: [folder.path]
        )
        #expect(outcome.output == "cache\nflashlayer.lock\nflashlayer.toml\nlayers\nout.log\n", "\(outcome.output)")
        let entries = cache.entries(of: .checkpoints)
        #expect(entries.count <= 1)
        for entry in entries {
            let check = try await Program("qemu-img", debianPackage: "qemu-utils").outcome([
                "check", "\(entry)/disk.qcow2",
            ])
            #expect(check.status == 0, "\(check.errors)")
        }
        let plan = try await FlashlayerProgram.run(
            ["plan", folder.path],
            environment: ["FLASHLAYER_CACHE": cache.path]
        )
        #expect(
            plan.output.contains("scripts  to do: the scripts of layer one have not been run yet"),
            "\(plan.output)"
        )
    }
}
