// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Programs
import TestSupport
import Testing

@Suite(
    "One image to several disks",
    .enabled(if: LoopDevice.isAvailable, Comment(rawValue: LoopDevice.requirement))
)
struct ManyTargetsTests {
    private static let size: UInt64 = (9 << 20) + 4096

    private let folder: TemporaryFolder
    private let image: String

    init() throws {
        folder = try TemporaryFolder()
        image = folder.file("image.raw")
        try TestImage.create(image, size: Self.size, data: [0..<(2 << 20), (8 << 20)..<(9 << 20)])
    }

    private func write(_ targets: [String], _ options: [String] = []) async throws -> Program.Outcome {
        try await FlashlayerProgram.run(["write", image] + targets + ["--allow", "virtual", "--yes"] + options)
    }

    private func holdsImage(_ loop: LoopDevice) async throws -> Bool {
        let cmp = try Program("cmp", debianPackage: "diffutils")
        return try await cmp.outcome(["-n", "\(Self.size)", image, loop.path]).status == 0
    }

    private func report(_ path: String) throws -> JSONValue {
        try JSONDecoder().decode(JSONValue.self, from: Data(contentsOf: URL(filePath: path)))
    }

    @Test("each holds it afterwards, each has its own lines and one end, and the record has all of them")
    func several() async throws {
        let loops = try (0..<3).map { _ in try LoopDevice(size: 16 << 20, fill: 0xAA) }
        defer { for loop in loops { loop.close() } }
        let targets = loops.map(\.path) + ["null:"]
        let outcome = try await write(targets, ["--json", "--report", folder.file("report.json")])
        #expect(outcome.status == 0, "\(outcome.errors)")
        for loop in loops { #expect(try await holdsImage(loop)) }

        let events = try outcome.events()
        #expect(events.first?["event"]?.text == "plan")
        guard case .array(let planned)? = events.first?["targets"] else { return #expect(Bool(false), "no targets") }
        #expect(planned.compactMap { $0["path"]?.text } == targets)
        let finished = events.filter { $0["event"]?.text == "finished" }
        #expect(finished.compactMap { $0["target"]?.text }.sorted() == targets.sorted())
        #expect(finished.allSatisfy { $0["result"]?.text == "pass" && $0["error"] == .null })
        for event in events where ["phase", "progress", "warning"].contains(event["event"]?.text) {
            #expect(targets.contains(event["target"]?.text ?? ""))
        }
        #expect(events.last?["event"]?.text == "summary")
        #expect(events.last?["exitStatus"]?.number == 0)

        let report = try report(folder.file("report.json"))
        #expect(report["command"]?.text == "write")
        #expect(report["exitStatus"]?.number == 0)
        #expect(report["image"]?["path"]?.text == image)
        #expect(report["image"]?["size"]?.number == Double(Self.size))
        #expect(report["image"]?["sha256"] == .null, "a key is there where nothing is known")
        #expect(report["image"]?["imageDigest"]?.text == finished.first?["imageDigest"]?.text)
        guard case .array(let recorded)? = report["targets"] else { return #expect(Bool(false), "no targets") }
        #expect(recorded.compactMap { $0["path"]?.text } == targets, "in the order in which they were named")
        #expect(recorded.allSatisfy { $0["result"]?.text == "pass" && $0["serial"] != nil && $0["error"] == .null })
        #expect(recorded.first?["size"]?.number == Double(16 << 20))
        #expect(recorded.first?["transport"]?.text == "loop")
    }

    @Test("one that is refused stops all: nothing is written, and each has one end")
    func refused() async throws {
        let loops = try (0..<2).map { _ in try LoopDevice(size: 16 << 20, fill: 0xAA) }
        let small = try LoopDevice(size: 4 << 20, fill: 0xAA)
        defer { for loop in loops + [small] { loop.close() } }
        let targets = [loops[0].path, small.path, loops[1].path]
        let outcome = try await write(targets, ["--json", "--report", folder.file("report.json")])
        #expect(outcome.status == 77)
        #expect(outcome.errors.contains("[too-small]"))
        #expect(outcome.errors.contains("1 of 3 targets was refused"), "\(outcome.errors)")
        for loop in loops { #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA)) }
        #expect(try small.read(count: 4 << 20).isFilled(with: 0xAA))

        let events = try outcome.events()
        #expect(events.compactMap { $0["event"]?.text } == ["finished", "finished", "finished", "summary"])
        for event in events.dropLast() {
            let isSmall = event["target"]?.text == small.path
            #expect(event["result"]?.text == (isSmall ? "refused" : "cancelled"))
            #expect((event["error"] == .null) == !isSmall, "the others have no fault")
        }
        let report = try report(folder.file("report.json"))
        #expect(report["exitStatus"]?.number == 77)
        guard case .array(let recorded)? = report["targets"] else { return #expect(Bool(false), "no targets") }
        #expect(recorded.compactMap { $0["result"]?.text } == ["cancelled", "refused", "cancelled"])
    }

    @Test("one that is wrong ends alone when disks are verified, by the image and by its block map alone")
    func verify() async throws {
        let loops = try (0..<2).map { _ in try LoopDevice(size: 16 << 20) }
        defer { for loop in loops { loop.close() } }
        #expect(try await FlashlayerProgram.run(["map", image, "-q"]).status == 0)
        #expect(try await write(loops.map(\.path), ["-q"]).status == 0)
        try await Program("dd", debianPackage: "coreutils").run([
            "if=/dev/urandom", "of=\(loops[1].path)", "bs=4096", "seek=2050", "count=1", "status=none", "oflag=direct",
        ])
        for source in [image, folder.file("image.bmap")] {
            let outcome = try await FlashlayerProgram.run(["verify", source] + loops.map(\.path) + ["--json"])
            #expect(outcome.status == 74, "\(outcome.errors)")
            let finished = try outcome.events().filter { $0["event"]?.text == "finished" }
            #expect(finished.count == 2)
            for end in finished {
                let isWrong = end["target"]?.text == loops[1].path
                #expect(end["result"]?.text == (isWrong ? "fail" : "pass"), "\(source)")
                #expect(end["error"]?["code"]?.text == (isWrong ? "verify-failed" : nil), "\(source)")
            }
            #expect(try outcome.events().last?["exitStatus"]?.number == 74)
        }
        let written = try await FlashlayerProgram.run(["write", folder.file("image.bmap"), loops[0].path, "--yes"])
        #expect(written.status == 64, "\(written.errors)")
        #expect(written.errors.contains("is a block map"))
    }

    @Test("the same disk under two names is a mistake, and so are too many")
    func twice() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let link = folder.file("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: loop.path)
        for targets in [[loop.path, loop.path], [loop.path, link], (0..<17).map { "/dev/none\($0)" }] {
            let outcome = try await write(targets)
            #expect(outcome.status == 64, "\(outcome.errors)")
        }
        #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA))
    }

    @Test("the record replaces neither the image nor the file below a target, and is tried before anything is written")
    func reportPlaces() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let before = try TestImage.bytes(of: image)
        for (place, status) in [
            (image, 73), (loop.path, 73), ("/nonexistent/report", 73), (folder.path, 73), (loop.backingFile, 77),
        ] as [(String, Int32)] {
            let outcome = try await write([loop.path], ["--report", place])
            #expect(outcome.status == status, "\(place): \(outcome.errors)")
            #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA), "\(place)")
        }
        #expect(try TestImage.bytes(of: image) == before)
        #expect(try TestImage.bytes(of: loop.backingFile).count == 16 << 20)
    }

    @Test("at the terminal each name is asked for; a wrong one leaves all alone", arguments: [true, false])
    func prompt(isRight: Bool) async throws {
        let loops = try (0..<2).map { _ in try LoopDevice(size: 16 << 20, fill: 0xAA) }
        defer { for loop in loops { loop.close() } }
        let names = loops.map { String($0.path.dropFirst("/dev/".count)) }
        let outcome = try await FlashlayerProgram.script(
            #"""
            folder=$(mktemp -d)
            mkfifo "$folder/keys"
            script --quiet --flush --return --command "$flashlayer write $1 $2 $3 --allow virtual" "$folder/seen" \
                < "$folder/keys" &
            exec 3> "$folder/keys"
            until grep -qs "(1 of 2)" "$folder/seen"; do sleep 0.1; done
            printf '%s\n' "$4" >&3
            until grep -qs "(2 of 2)" "$folder/seen"; do sleep 0.1; done
            printf '%s\n' "$5" >&3
            wait $!
            status=$?
            rm -rf "$folder"
            exit $status
            """#,
            arguments: [image] + loops.map(\.path) + [names[0], isRight ? names[1] : names[0]]
        )
        #expect(outcome.status == (isRight ? 0 : 77), "\(outcome.output)")
        for loop in loops {
            if isRight {
                #expect(try await holdsImage(loop))
            } else {
                #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA))
            }
        }
    }

    @Test("standard input is an image: a file, a pipe, a socket", arguments: ["file", "pipe", "socket"])
    func standardInput(kind: String) async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            write() { "$flashlayer" write - "$2" --allow virtual --yes --report "$3"; }
            case $4 in
                file) write "$@" < "$1" ;;
                pipe) cat "$1" | write "$@" ;;
                # sshd gives the programs that it starts a socket.
                socket)
                    perl -MSocket -e '
                        socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
                        if (!fork) { close $b; open STDOUT, ">&", $a; close $a; exec "cat", $ARGV[0] }
                        close $a; open STDIN, "<&", $b; close $b;
                        exec $ENV{flashlayer}, "write", "-", $ARGV[1], "--allow", "virtual", "--yes", "--report", $ARGV[2];
                    ' "$1" "$2" "$3" ;;
            esac
            """#,
            arguments: [image, loop.path, folder.file("report.json"), kind]
        )
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try await holdsImage(loop))
        let report = try report(folder.file("report.json"))
        #expect(report["image"]?["path"]?.text == "-")
        #expect(report["image"]?["size"]?.number == Double(Self.size))
    }

    @Test("a connection on standard input that is reset is not the end of the image", arguments: ["write", "map"])
    func resetInput(command: String) async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        // A peer that closes with SO_LINGER 0 resets the connection, as one does that dies.
        let launcher = """
            import os, socket, struct, sys, time
            server = socket.create_server(("127.0.0.1", 0))
            if os.fork() == 0:
                peer = socket.create_connection(server.getsockname())
                peer.sendall(open(sys.argv[1], "rb").read(5 << 20))
                time.sleep(1)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
                os._exit(0)
            connection = server.accept()[0]
            os.dup2(connection.fileno(), 0)
            os.execv(sys.argv[2], sys.argv[2:])
            """
        let arguments =
            command == "map"
            ? ["map", "-", "-o", folder.file("image.bmap")]
            : ["write", "-", loop.path, "--allow", "virtual", "--yes", "--json"]
        let outcome = try await Program("python3", debianPackage: "python3")
            .outcome(["-c", launcher, image, try FlashlayerProgram.path] + arguments)
        #expect(outcome.status == 65, "\(outcome.output)\(outcome.errors)")
        guard command == "write" else { return }
        let finished = try outcome.events().first { $0["event"]?.text == "finished" }
        #expect(finished?["result"]?.text == "fail")
        #expect(finished?["error"]?["code"]?.text == "bad-image")
    }
}
