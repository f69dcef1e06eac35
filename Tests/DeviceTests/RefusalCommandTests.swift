// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Programs
import TestSupport
import Testing

/// The device gate from outside: what 'flashlayer write' says of a disk that must not be written, and that it stays
/// as it was. `RefusalTests` asks the rules themselves.
@Suite(
    "flashlayer write, at a disk that it must not write",
    .enabled(if: LoopDevice.isAvailable, Comment(rawValue: LoopDevice.requirement))
)
struct RefusalCommandTests {
    private let folder: TemporaryFolder
    /// 4 MiB, not all of it zero.
    private let image: String

    init() throws {
        folder = try TemporaryFolder()
        image = folder.file("image.raw")
        try TestImage.create(image, size: 4 << 20, data: [0..<(2 << 20)])
    }

    private static let knowsSwap = unsafe access("/proc/swaps", R_OK) == 0

    /// Runs the program against a target, and holds everything that a refusal promises.
    ///
    /// - Parameters:
    ///   - target: what is named on the command line.
    ///   - file: the bytes of the disk, seen by a program that shares no code with ours.
    ///   - code: of the first refusal.
    ///   - others: the codes of the other refusals.
    ///   - start: bytes at the start of the disk that somebody else may write.
    private func expectRefusal(
        of target: String,
        over file: String,
        as code: ErrorCode,
        and others: [ErrorCode] = [],
        leavingOut start: Int = 0,
        image: String? = nil,
        allow: [String] = ["virtual"],
        _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let arguments = ["write", image ?? self.image, target, "--yes"] + allow.flatMap { ["--allow", $0] }
        let before = try await sha256(file, from: start)
        let outcome = try await FlashlayerProgram.run(arguments + ["--json"])
        let plain = try await FlashlayerProgram.run(arguments)
        #expect(try await sha256(file, from: start) == before, "the disk was changed", sourceLocation: location)

        for outcome in [outcome, plain] {
            #expect(outcome.status == code.exitStatus, "\(outcome.errors)", sourceLocation: location)
            let lines = outcome.errors.split(separator: "\n")
            let last = try #require(lines.lastIndex { $0.hasPrefix("flashlayer: ") }, sourceLocation: location)
            #expect(lines[last].hasSuffix("[\(code.rawValue)]"), "\(outcome.errors)", sourceLocation: location)
            #expect(lines[last].contains(target), "the target is named", sourceLocation: location)
            if code != .notFound {
                #expect(lines[(last + 1)...].first?.hasPrefix("  ") == true, "what to do", sourceLocation: location)
            }
            for other in others {
                #expect(outcome.errors.contains("[\(other.rawValue)]"), "\(outcome.errors)", sourceLocation: location)
            }
        }
        #expect(plain.output.isEmpty, sourceLocation: location)

        let events = try outcome.events()
        #expect(events.compactMap { $0["event"]?.text } == ["finished", "summary"], sourceLocation: location)
        let finished = try #require(events.first, sourceLocation: location)
        #expect(finished["target"]?.text == target, sourceLocation: location)
        #expect(finished["result"]?.text == (code.exitStatus == 77 ? "refused" : "fail"), sourceLocation: location)
        #expect(finished["bytesWritten"]?.number == 0, sourceLocation: location)
        for event in events {
            #expect(event["error"]?["code"]?.text == code.rawValue, sourceLocation: location)
        }
        #expect(events.last?["exitStatus"]?.number == Double(code.exitStatus), sourceLocation: location)
    }

    private func sha256(_ file: String, from start: Int = 0) async throws -> String {
        try await Program("sh", debianPackage: "dash")
            .run(["-c", "tail -c +\(start + 1) \"$1\" | sha256sum", "sh", file])
    }

    private func run(_ program: String, _ arguments: String...) async throws {
        try await Program(program, debianPackage: "util-linux, mount or e2fsprogs").run(arguments)
    }

    /// A file system with an image on it, mounted while the body runs. Read-only: so the kernel itself writes nothing,
    /// and every changed byte would be ours.
    private func mounted(_ device: String, _ body: (String) async throws -> Void) async throws {
        let source = try TemporaryFolder()
        try TestImage.create(source.file("image.raw"), size: 4 << 20, data: [0..<4096])
        try await run("mkfs.ext4", "-q", "-F", "-d", source.path, device)
        let point = try TemporaryFolder()
        try await run("mount", "-o", "ro,noload", device, point.path)
        // Unmounted before the folder is removed, whatever comes.
        defer { MountPoint.clear(point.path) }
        try await body(point.path)
    }

    @Test("a partition")
    func partitionNode() async throws {
        let loop = try LoopDevice(size: 32 << 20, fill: 0xAA)
        defer { loop.close() }
        try await partition(loop, "label: gpt\nsize=16MiB\n")
        try await addNodes(loop)
        try await expectRefusal(of: "\(loop.path)p1", over: loop.backingFile, as: .partition)
    }

    @Test("a mounted disk; reading it is harmless, so it can be verified")
    func mountedDisk() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        try await mounted(loop.path) { _ in
            try await expectRefusal(of: loop.path, over: loop.backingFile, as: .mounted)
            // Its own bytes, elsewhere.
            let copy = folder.file("copy.raw")
            try await run("cp", loop.backingFile, copy)
            let verify = try await FlashlayerProgram.run(["verify", copy, loop.path])
            #expect(verify.status == 0, "\(verify.errors)")
            #expect(verify.output.isEmpty)
            let other = try await FlashlayerProgram.run(["verify", image, loop.path])
            #expect(other.status == 74, "\(other.errors)")
        }
    }

    @Test("a disk with a mounted partition")
    func mountedPartition() async throws {
        let loop = try LoopDevice(size: 32 << 20, fill: 0xAA)
        defer { loop.close() }
        try await partition(loop, "label: gpt\nsize=4MiB\nsize=16MiB\n")
        try await addNodes(loop)
        try await mounted("\(loop.path)p2") { _ in
            try await expectRefusal(of: loop.path, over: loop.backingFile, as: .mounted)
        }
    }

    @Test("a disk that another loop device reads and writes")
    func backsLoop() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let upper = try LoopDevice(attaching: loop.path)
        defer { upper.close() }
        try await expectRefusal(of: loop.path, over: loop.backingFile, as: .backsLoop)
    }

    @Test("a disk that is one sector too small")
    func tooSmall() async throws {
        let loop = try LoopDevice(size: 4 << 20 - 512, fill: 0xAA)
        defer { loop.close() }
        try await expectRefusal(of: loop.path, over: loop.backingFile, as: .tooSmall)
    }

    @Test("a disk that the kernel has as read-only", arguments: ["losetup --read-only", "blockdev --setro"])
    func readOnly(how: String) async throws {
        let loop = try LoopDevice(size: 16 << 20, readOnly: how.hasPrefix("losetup"), fill: 0xAA)
        defer { loop.close() }
        if how.hasPrefix("blockdev") { try await run("blockdev", "--setro", loop.path) }
        let refused = await Result { try await expectRefusal(of: loop.path, over: loop.backingFile, as: .readOnly) }
        // The kernel would keep this for whatever is attached at this node next.
        if how.hasPrefix("blockdev") { try await run("blockdev", "--setrw", loop.path) }
        try refused.get()
    }

    @Test("the disk that the image lies on")
    func holdsImage() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        try await mounted(loop.path) { point in
            try await expectRefusal(
                of: loop.path,
                over: loop.backingFile,
                as: .mounted,
                and: [.holdsSource],
                image: "\(point)/image.raw"
            )
        }
    }

    @Test("the disk that is the image itself")
    func isImage() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        try await expectRefusal(of: loop.path, over: loop.backingFile, as: .holdsSource, image: loop.backingFile)
    }

    @Test("a regular file")
    func regularFile() async throws {
        let file = folder.file("disk")
        try TestImage.create(file, size: 16 << 20, data: [0..<4096], seed: 2)
        try await expectRefusal(of: file, over: file, as: .notBlockDevice)
    }

    @Test("a path that leads nowhere is 66, and nothing is made there")
    func missing() async throws {
        let path = folder.file("none")
        try await expectRefusal(of: path, over: image, as: .notFound)
        #expect(unsafe access(path, F_OK) != 0)
    }

    @Test("a disk that is swap", .enabled(if: knowsSwap, "this kernel knows no swap"))
    func swap() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        // The smallest that there is: a machine that is short of memory writes to it while we look.
        try await run("mkswap", loop.path, "64")
        try await run("swapon", loop.path)
        let refused = await Result {
            try await expectRefusal(of: loop.path, over: loop.backingFile, as: .swap, leavingOut: 64 << 10)
        }
        try await run("swapoff", loop.path)
        try refused.get()
    }

    @Test("a disk that another program has for itself")
    func heldExclusively() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let holder = unsafe open(loop.path, O_RDONLY | O_EXCL | O_CLOEXEC)
        try #require(holder >= 0)
        defer { close(holder) }
        try await expectRefusal(of: loop.path, over: loop.backingFile, as: .inUse)
    }

    @Test("a loop device, without the word for it")
    func virtual() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        try await expectRefusal(of: loop.path, over: loop.backingFile, as: .virtual, allow: [])
        let outcome = try await FlashlayerProgram.run(["write", image, loop.path, "--yes"])
        #expect(outcome.errors.contains("--allow virtual"), "the way out is written out")
    }

    @Test("the main job looks at the disk before it builds: what is refused costs nobody a minute")
    func beforeBuilding() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let before = try await sha256(loop.backingFile)
        // The recipe's image has 2 GiB.
        for (allow, code) in [([], "virtual"), (["--allow", "virtual"], "too-small")] {
            let outcome = try await FlashlayerProgram.run(
                ["build-and-write", loop.path, "--project", "\(Checkout.root)/examples/kiosk", "--yes", "--json"]
                    + ["--output", folder.file("kiosk.qcow2")] + allow,
                environment: ["FLASHLAYER_CACHE": folder.file("cache")]
            )
            #expect(outcome.status == 77)
            let events = try outcome.events()
            #expect(events.compactMap { $0["event"]?.text } == ["finished", "summary"])
            let codes = Set(events.compactMap { $0["error"]?["code"]?.text })
            #expect(codes.count == 1 && outcome.errors.contains("[\(code)]"), "\(outcome.errors)")
        }
        for made in ["kiosk.qcow2", "kiosk.log"] {
            #expect(unsafe access(folder.file(made), F_OK) != 0, "\(made)")
        }
        #expect(try await sha256(loop.backingFile) == before)
    }

    @Test("a rule that is never lifted, and a word that is no rule", arguments: ["mounted", "system-disk", "nonsense"])
    func allowance(word: String) async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let before = try await sha256(loop.backingFile)
        let outcome = try await FlashlayerProgram.run([
            "write", image, loop.path, "--yes", "--json", "--allow", "virtual", "--allow", word,
        ])
        #expect(outcome.status == 64)
        #expect(outcome.errors.contains("--allow \(word)"))
        #expect(outcome.errors.contains("internal, virtual, member, large"), "what can be lifted is named")
        #expect(try outcome.events().compactMap { $0["event"]?.text } == ["summary"])
        #expect(try await sha256(loop.backingFile) == before)
    }

    @Test("the disk that this machine runs from is listed as that; nothing is written at it, not even to see it fail")
    func systemDisk() async throws {
        let outcome = try await FlashlayerProgram.run(["devices", "--all", "--json"])
        let disks = try JSONValue.array(of: outcome.output)
        // findmnt and lsblk share no code with us. A root on tmpfs, overlay or the network has no disk to name.
        let script = "lsblk --noheadings --inverse --paths --raw --output NAME,TYPE $(findmnt -no SOURCE /)"
        let list = try await Program("sh", debianPackage: "dash").outcome(["-c", script])
        let own = list.output.split(separator: "\n").filter { $0.hasSuffix(" disk") }.compactMap {
            $0.split(separator: " ").first
        }
        for path in own {
            let disk = try #require(disks.first { $0["path"]?.text == String(path) }, "\(path)")
            guard case .array(let refusals) = disk["refusals"] else {
                Issue.record("\(path) has no refusals")
                continue
            }
            let refusal = try #require(refusals.first { $0["code"]?.text == "system-disk" }, "\(path)")
            #expect(refusal["overridable"] == .bool(false))
            #expect(refusal["evidence"]?.text?.contains(" at /") == true)
        }
        let table = try await FlashlayerProgram.run(["devices", "--all"])
        for path in own {
            #expect(table.output.split(separator: "\n").contains { $0.hasPrefix(path) && $0.contains("system-disk") })
        }
    }
}

extension Result where Failure == any Error {
    /// The outcome of work after which something has to be put back.
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
