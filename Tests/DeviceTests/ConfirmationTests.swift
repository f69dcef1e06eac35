// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import TestSupport
import Testing

@Suite(
    "The question before a disk is overwritten",
    .enabled(if: LoopDevice.isAvailable, Comment(rawValue: LoopDevice.requirement))
)
struct ConfirmationTests {
    private let folder: TemporaryFolder
    private let image: String

    init() throws {
        folder = try TemporaryFolder()
        image = folder.file("image.raw")
        try TestImage.create(image, size: 4 << 20, data: [0..<(2 << 20)])
    }

    private func write(_ targets: [LoopDevice], _ steps: [PseudoTerminal.Step], environment: [String: String?] = [:])
        async throws -> Program.Outcome
    {
        try await PseudoTerminal.run(
            ["write", image] + targets.map(\.path) + ["--allow", "virtual", "--no-verify"],
            steps,
            environment: environment
        )
    }

    private func name(_ loop: LoopDevice) -> String { "loop\(loop.number)" }

    private func isUntouched(_ loop: LoopDevice) throws -> Bool {
        try loop.read(count: 4 << 20).allSatisfy { $0 == 0xAA }
    }

    @Test("shows the disk and what will be lost; its name, typed behind one space, starts the write")
    func typed() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await write(
            [loop],
            [.init("to go on: ", type: "\(name(loop))\n")],
            environment: ["NO_COLOR": "1"]
        )
        #expect(outcome.status == 0, "\(outcome.output)")
        let screen = outcome.output
        #expect(screen.contains("Everything on this disk will be lost: whatever is on it."), "\(screen)")
        #expect(screen.contains("  device     \(loop.path)\r\n"))
        #expect(screen.contains("  size       16 MiB (16777216 bytes)\r\n"))
        #expect(screen.contains("  attached   loop\r\n"))
        #expect(screen.contains("Type its name (\(name(loop))) to go on: \(name(loop))\r\n"), "\(screen)")
        // What redraws the status is no colour.
        #expect(!screen.contains("m\(name(loop))\u{1B}[0m") && !screen.contains("\u{1B}[1m"))
    }

    @Test("what was true before the question is asked again after the answer: a loop device came over the disk")
    func changedMeanwhile() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.script(
            #"""
            keys=$3/keys seen=$3/seen
            mkfifo "$keys"
            script --quiet --flush --return --command "$flashlayer write $1 $2 --allow virtual" "$seen" < "$keys" &
            exec 3> "$keys"
            until grep -qs "Type its name" "$seen"; do sleep 0.1; done
            top=$(losetup --find --show "$2")
            printf "$4\n" >&3
            wait $!
            status=$?
            losetup --detach "$top"
            exit $status
            """#,
            arguments: [image, loop.path, folder.path, name(loop)]
        )
        #expect(outcome.status == 77, "\(outcome.output)")
        #expect(outcome.output.contains("[backs-loop]"), "\(outcome.output)")
        #expect(try isUntouched(loop))
    }

    @Test("shows every partition and file system of the disk, and counts what will be lost")
    func contents() async throws {
        let loop = try LoopDevice(size: 64 << 20)
        defer { loop.close() }
        let table = "label: gpt\nstart=2048, size=20480, name=one\nstart=22528, size=40960, name=two\n"
        let made = try await FlashlayerProgram.script(
            #"printf '%b' "$2" | sfdisk --quiet --no-reread --no-tell-kernel "$1" && mkfs.ext4 -q -L home -E offset=1048576 "$1" 10M"#,
            arguments: [loop.path, table]
        )
        #expect(made.status == 0, "\(made.errors)")
        let outcome = try await write([loop], [.init("to go on: ", type: "no\n")])
        #expect(outcome.output.contains("the partition table, all 2 partitions"), "\(outcome.output)")
        #expect(outcome.output.contains("partition 1  10 MiB  ext4  home"), "\(outcome.output)")
        #expect(outcome.output.contains("partition 2  20 MiB"), "\(outcome.output)")
    }

    @Test("any other answer is 'declined', and changes nothing", arguments: ["yes\n", "\n", "loop\n", "\u{4}"])
    func declined(answer: String) async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await write([loop], [.init("to go on: ", type: answer)])
        #expect(outcome.status == 77)
        #expect(outcome.output.contains("[declined]"), "\(outcome.output)")
        #expect(try isUntouched(loop))
    }

    @Test("what was typed before the question was there is no answer")
    func typeAhead() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let early = PseudoTerminal.Step("", type: "\(name(loop))\n")
        let outcome = try await write([loop], [early, .init("to go on: ", type: "no\n")])
        #expect(outcome.status == 77, "\(outcome.output)")
        #expect(try isUntouched(loop))
    }

    @Test("Ctrl-C is an interruption, and changes nothing")
    func interrupted() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await write([loop], [.init("to go on: ", type: "\u{3}")])
        #expect(outcome.status == 130, "\(outcome.output)")
        #expect(try isUntouched(loop))
    }

    @Test("of several disks each is asked for; one that is declined keeps all of them as they were")
    func several() async throws {
        let loops = try (0..<2).map { _ in try LoopDevice(size: 16 << 20, fill: 0xAA) }
        defer { for loop in loops { loop.close() } }
        let outcome = try await write(
            loops,
            [
                .init("(1 of 2)", type: ""), .init("to go on: ", type: "\(name(loops[0]))\n"),
                .init("(2 of 2)", type: ""),
                .init("to go on: ", type: "\(name(loops[0]))\n"),
            ]
        )
        #expect(outcome.status == 77, "\(outcome.output)")
        for loop in loops { #expect(try isUntouched(loop)) }
    }

    @Test("without a terminal it is a wrong command line, with the word to add")
    func noTerminal() async throws {
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await FlashlayerProgram.script(
            #"exec setsid --wait "$flashlayer" write "$1" "$2" --allow virtual"#,
            arguments: [image, loop.path]
        )
        #expect(outcome.status == 64, "\(outcome.errors)")
        #expect(outcome.errors.contains("add --yes when you are sure"), "\(outcome.errors)")
        #expect(try isUntouched(loop))
    }
}
