// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Programs
import TestSupport
import Testing

@Suite("Growing to the end of the disk", .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)"))
struct GrowTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    /// How an image is made: with a file system in its last partition, whose tools know its size.
    private struct Kind: CustomTestStringConvertible {
        let name: String
        let make: String
        /// Prints the size of the file system in `$1`, in bytes, once its checker is content.
        let size: String
        /// Of the partition, in MiB.
        let mebibytes: Int

        var testDescription: String { name }

        static let ext4 = Kind(
            name: "ext4",
            make: "mkfs.ext4 -q -b 4096",
            size:
                #"e2fsck -f -n "$1" >&2 && dumpe2fs -h "$1" 2>&- | awk '/^Block count/ { n = $3 } /^Block size/ { print n * $3 }'"#,
            mebibytes: 12
        )
        static let xfs = Kind(
            name: "xfs",
            make: "mkfs.xfs -q -s size=4096",
            size:
                #"xfs_repair -n "$1" >&2 && xfs_db -r -c "sb 0" -c "print dblocks blocksize" "$1" | awk '{ n = n ? n * $3 : $3 } END { print n }'"#,
            mebibytes: 300
        )
        static let btrfs = Kind(
            name: "btrfs",
            make: "mkfs.btrfs -q",
            size:
                #"btrfs check "$1" >&2 && btrfs inspect-internal dump-super "$1" | awk '/^total_bytes/ { print $2 }'"#,
            mebibytes: 110
        )
        static let vfat = Kind(name: "vfat", make: "mkfs.vfat", size: "", mebibytes: 8)
    }

    @discardableResult
    private func shell(_ script: String, _ arguments: String...) async throws -> String {
        try await Program("bash", debianPackage: "bash").run(["-c", script, "bash"] + arguments)
    }

    /// - Parameter table: for sfdisk; the last partition begins at `start` MiB.
    private func image(_ kind: Kind, sectorSize: Int = 512, table: String? = nil, start: Int = 2) async throws -> String
    {
        let path = folder.file("image")
        // As large as it has to be: the partition, and the backup of a GPT behind it.
        try await shell(
            #"truncate -s "$3M" "$1.part" && $2 "$1.part" >&2 && truncate -s "$(($3 + $4 + 1))M" "$1""#,
            path,
            kind.make,
            "\(kind.mebibytes)",
            "\(start)"
        )
        let unit = 1048576 / sectorSize
        let script =
            table ?? "label: gpt\nstart=\(unit), size=\(unit)\nstart=\(start * unit), size=\(kind.mebibytes * unit)\n"
        let loop = try LoopDevice(attaching: path, sectorSize: sectorSize)
        try await partition(loop, script)
        loop.close()
        try await shell(#"dd if="$1.part" of="$1" bs=1M seek="$2" conv=notrunc,sparse status=none"#, path, "\(start)")
        return path
    }

    private func write(_ image: String, _ loops: [LoopDevice], _ options: String...) async throws -> Program.Outcome {
        try await FlashlayerProgram.run(
            ["write", image] + loops.map(\.path) + ["--allow", "virtual", "--yes", "--json", "--grow"] + options
        )
    }

    private func growths(_ outcome: Program.Outcome) throws -> [JSONValue] {
        try outcome.events().filter { $0["event"]?.text == "finished" }.compactMap { $0["growth"] }
    }

    /// - Returns: bytes of the file system that begins at `start` MiB, by its own tools.
    private func size(_ kind: Kind, on loop: LoopDevice, start: Int = 2, _ length: Double) async throws -> Double? {
        let part = folder.file("part-\(loop.number)")
        try await shell(
            #"dd if="$1" of="$2" bs=1M skip="$3" count="$4" conv=sparse status=none; truncate -s "$4M" "$2""#,
            loop.path,
            part,
            "\(start)",
            "\(Int(length) >> 20)"
        )
        return Double(try await shell(kind.size, part).filter { !$0.isWhitespace })
    }

    /// Neither a mount nor a loop device is left of it.
    private func leavesNothing(_ loop: LoopDevice) async throws -> Bool {
        let script =
            #"grep flashlayer-grow /proc/self/mountinfo; grep -lx "$1" /sys/block/loop*/loop/backing_file 2>&-; true"#
        return try await shell(script, loop.path).isEmpty
    }

    @Test(
        "the last partition and its file system fill the disk, and their own tools are content",
        arguments: [
            (Kind.ext4, 512), (Kind.ext4, 4096), (Kind.xfs, 512), (Kind.xfs, 4096), (Kind.btrfs, 512),
        ]
    )
    private func grows(kind: Kind, sectorSize: Int) async throws {
        let image = try await image(kind, sectorSize: sectorSize)
        // btrfs takes no new size below 256 MiB.
        let mebibytes = kind.mebibytes + (kind.name == "btrfs" ? 160 : 60)
        // No whole number of MiB: the partition ends with the last one.
        let loops = try (0..<(kind.name == "xfs" ? 1 : 2)).map {
            try LoopDevice(size: UInt64(mebibytes + $0 * 20) << 20 + 3 * UInt64(sectorSize), sectorSize: sectorSize)
        }
        defer { for loop in loops { loop.close() } }
        let outcome = try await write(image, loops)
        #expect(outcome.status == 0, "\(outcome.errors)")
        let growths = try growths(outcome)
        try #require(growths.count == loops.count)
        for loop in loops {
            let growth = try #require(growths.first { $0["to"]?.number == Double(size(of: loop)) }, "\(growths)")
            let length = try #require(growth["to"]?.number)
            #expect(growth["partition"]?.number == 2 && growth["fileSystem"]?.text == kind.name, "\(growth)")
            #expect(growth["from"]?.number == Double(kind.mebibytes << 20))
            let found = try await size(kind, on: loop, length)
            #expect(found == length)
            let judges = try await shell(#"sgdisk --verify "$1" 2>&1; sfdisk --verify "$1" 2>&1"#, loop.path)
            #expect(judges.contains("No problems found"), "\(judges)")
            #expect(try await leavesNothing(loop))
        }
        let verify = try await FlashlayerProgram.run(["verify", image, loops[0].path])
        #expect(verify.status == 74 && verify.errors.contains("--grow"), "\(verify.errors)")
        #expect(!verify.errors.contains("--gpt keep"))
    }

    /// What the last partition can have: from 2 MiB to the last whole MiB before the backup.
    private func size(of loop: LoopDevice) -> Int {
        let size = (try? TestImage.size(of: loop.backingFile)) ?? 0
        return (((size - 20480) >> 20) << 20) - (2 << 20)
    }

    @Test("a disk that grew takes the image once more, and grows again; one that has it already grows as well")
    func again() async throws {
        let image = try await image(.ext4)
        let loop = try LoopDevice(size: 64 << 20)
        defer { loop.close() }
        #expect(
            try await FlashlayerProgram.run(["write", image, loop.path, "--allow", "virtual", "--yes"]).status == 0
        )
        for _ in 0..<2 {
            let outcome = try await write(image, [loop], "--only-changed")
            let finished = try outcome.events().first { $0["event"]?.text == "finished" }
            #expect(finished?["result"]?.text == "pass", "\(outcome.errors)")
            let to = try #require(try growths(outcome).first?["to"]?.number)
            #expect(try await size(.ext4, on: loop, to) == to)
        }
    }

    @Test(
        "a logical partition takes the extended one with it, and a primary one of an MBR grows",
        arguments: [true, false]
    )
    func bootRecord(isLogical: Bool) async throws {
        let table =
            isLogical
            ? "label: dos\nx1: start=2048, size=2048\nx2: start=4096, type=5\nx5: start=8192, size=12M\n"
            : "label: dos\nstart=8192, size=12M\n"
        let image = try await image(.ext4, table: table, start: 4)
        let loop = try LoopDevice(size: 64 << 20)
        defer { loop.close() }
        let outcome = try await write(image, [loop])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let growth = try #require(try growths(outcome).first)
        #expect(growth["partition"]?.number == (isLogical ? 5 : 1))
        let to = try #require(growth["to"]?.number)
        #expect(to == Double(60 << 20))
        #expect(try await size(.ext4, on: loop, start: 4, to) == to)
        let judge = try await shell(#"sfdisk --verify "$1" 2>&1; echo "status $?""#, loop.path)
        #expect(judge.contains("status 0"), "\(judge)")
    }

    @Test("what cannot grow is refused before anything is written, and by a stream at its end")
    func refused() async throws {
        let image = try await image(.vfat)
        let loop = try LoopDevice(size: 32 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await write(image, [loop])
        #expect(outcome.status == 65 && outcome.errors.contains("cannot-grow"), "\(outcome.errors)")
        #expect(outcome.errors.contains("FAT"), "\(outcome.errors)")
        #expect(try loop.read(count: 32 << 20).isFilled(with: 0xAA))

        try await shell(#"gzip -1 < "$1" > "$1.gz""#, image)
        let streamed = try await write("\(image).gz", [loop])
        #expect(streamed.status == 65 && streamed.errors.contains("holds the image"), "\(streamed.errors)")
        #expect(try await FlashlayerProgram.run(["verify", image, loop.path]).status == 0)

        try await shell(#"truncate -s 0 "$1" && truncate -s 8M "$1""#, image)
        let empty = try await write(image, [loop])
        #expect(empty.status == 65 && empty.errors.contains("no partition table"), "\(empty.errors)")
        #expect(try await write(image, [loop], "--gpt", "keep").status == 64)
    }

    @Test("what stands behind the last partition is not grown over")
    func trailing() async throws {
        let image = try await image(.ext4)
        try await shell(
            #"truncate -s 16M "$1"; printf x | dd of="$1" bs=1 seek=15000000 conv=notrunc status=none"#,
            image
        )
        let loop = try LoopDevice(size: 32 << 20, fill: 0xAA)
        defer { loop.close() }
        let named = try await write(image, [loop])
        #expect(named.status == 65 && named.errors.contains("cannot-grow"), "\(named.errors)")
        #expect(named.errors.contains("byte 15000000"), "\(named.errors)")
        #expect(try loop.read(count: 32 << 20).isFilled(with: 0xAA))
        try await shell(#"gzip -1 < "$1" > "$1.gz""#, image)
        let streamed = try await write("\(image).gz", [loop])
        #expect(streamed.status == 65 && streamed.errors.contains("holds the image"), "\(streamed.errors)")
        #expect(try loop.read(count: 15_000_001).last == UInt8(ascii: "x"))
    }

    @Test("a missing program is found out before anything is written; one that fails leaves the image on the disk")
    func programs() async throws {
        let image = try await image(.ext4)
        let loop = try LoopDevice(size: 64 << 20)
        defer { loop.close() }
        let tools = try TemporaryFolder()
        try await shell(
            #"printf '#!/bin/sh\necho broken >&2\nexit 3\n' > "$1"; chmod +x "$1""#,
            tools.file("resize2fs")
        )
        let path = try await shell("printf %s \"$PATH\"")
        let outcome = try await FlashlayerProgram.run(
            ["write", image, loop.path, "--allow", "virtual", "--yes", "--grow"],
            environment: ["PATH": "\(tools.path):\(path)"]
        )
        #expect(outcome.status == 74 && outcome.errors.contains("grow-failed"), "\(outcome.errors)")
        #expect(outcome.errors.contains("broken") && outcome.errors.contains("holds the image"))
        // The file system is as it was, and in order; its partition is larger.
        #expect(try await size(.ext4, on: loop, Double(60 << 20)) == Double(12 << 20))
        #expect(try await leavesNothing(loop))
    }

    @Test("Ctrl-C is answered while a program grows the file system, and the program goes on to its end")
    func interrupted() async throws {
        let image = try await image(.ext4)
        let loop = try LoopDevice(size: 64 << 20)
        defer { loop.close() }
        let tools = try TemporaryFolder()
        let script = #"""
            #!/bin/sh
            : > "$(dirname "$0")/begun"
            until [ -e "$(dirname "$0")/go" ]; do sleep 0.05; done
            PATH=/usr/sbin:/sbin:$PATH
            /usr/sbin/resize2fs "$@"
            : > "$(dirname "$0")/done"
            """#
        try await shell(#"printf '%s\n' "$2" > "$1"; chmod +x "$1""#, tools.file("resize2fs"), script)
        let outcome = try await FlashlayerProgram.script(
            #"""
            PATH="$3:$PATH" "$flashlayer" write "$1" "$2" --allow virtual --yes --grow &
            pid=$!
            until [ -e "$3/begun" ]; do sleep 0.05; kill -0 $pid || exit 98; done
            kill -s INT $pid
            wait $pid
            status=$?
            [ -e "$3/done" ] && exit 99
            : > "$3/go"
            until [ -e "$3/done" ]; do sleep 0.05; done
            # The loop device goes with its last user.
            for i in $(seq 6000); do
                grep -qlx "$2" /sys/block/loop*/loop/backing_file 2>&- || exit $status
                sleep 0.05
            done
            exit 97
            """#,
            arguments: [image, loop.path, tools.path]
        )
        #expect(outcome.status == 130, "\(outcome.status) \(outcome.errors)")
        #expect(outcome.errors.contains("holds the image"), "\(outcome.errors)")
        #expect(try await size(.ext4, on: loop, Double(61 << 20)) == Double(61 << 20))
    }
}
