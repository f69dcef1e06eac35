// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model
import Programs
import TestSupport
import Testing

@Suite("Partition tables on disks", .enabled(if: LoopDevice.isAvailable, "\(LoopDevice.requirement)"))
struct TableTests {
    private static let imageSize: UInt64 = 12 << 20
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func image(sectorSize: Int = 512, size: UInt64 = imageSize, name: String = "image") async throws -> String {
        let path = folder.file(name)
        try TestImage.create(path, size: size, data: [(1 << 20)..<(size - (1 << 20))])
        let script = "label: gpt\nsize=4M\nsize=4M\n"
        if sectorSize == 512 {
            try await shell(#"printf "$2" | sfdisk --quiet --lock=no "$1""#, path, script)
        } else {
            let loop = try LoopDevice(attaching: path, sectorSize: sectorSize)
            defer { loop.close() }
            try await partition(loop, script)
        }
        return path
    }

    @discardableResult
    private func shell(_ script: String, _ arguments: String...) async throws -> String {
        try await Program("sh", debianPackage: "dash").run(["-c", script, "sh"] + arguments)
    }

    private func write(_ image: String, _ loops: [LoopDevice], _ options: String...) async throws -> Program.Outcome {
        try await FlashlayerProgram.run(
            ["write", image] + loops.map(\.path) + ["--allow", "virtual", "--yes", "--json"] + options
        )
    }

    private func results(_ outcome: Program.Outcome) throws -> [String] {
        try outcome.events().filter { $0["event"]?.text == "finished" }.compactMap { $0["result"]?.text }
    }

    /// What sgdisk, sfdisk and blkid have against a disk; empty when they are content.
    private func complaints(_ path: String) async throws -> String {
        let said = try await shell(
            #"sgdisk --verify "$1" 2>&1; sfdisk --verify "$1" 2>&1; echo "sfdisk: $?"; blkid -p -s PTTYPE -o value "$1""#,
            path
        )
        let isFine = said.contains("No problems found") && said.contains("sfdisk: 0") && said.hasSuffix("gpt\n")
        return isFine && !said.contains("PMBR") ? "" : said
    }

    @Test(
        "a GPT is right for the larger disk, by the word of all judges, and the second write finds nothing to do",
        arguments: [
            (512, []), (4096, ["--only-changed"]), (4096, ["--holes", "skip"]), (512, ["--no-verify"]),
        ] as [(Int, [String])]
    )
    func relocated(sectorSize: Int, options: [String]) async throws {
        let image = try await image(sectorSize: sectorSize)
        let loop = try LoopDevice(size: (40 << 20) + UInt64(3 * sectorSize), sectorSize: sectorSize, fill: 0xAA)
        defer { loop.close() }
        let arguments = ["write", image, loop.path, "--allow", "virtual", "--yes", "--json"]
        let first = try await FlashlayerProgram.run(arguments + options)
        #expect(first.status == 0, "\(first.errors)")
        let said = try await complaints(loop.path)
        #expect(said.isEmpty, "\(said)")
        let finished = try #require(try first.events().first { $0["event"]?.text == "finished" })
        try await judgeRecord(finished, loop)

        let second = try await FlashlayerProgram.run(arguments + ["--only-changed"])
        #expect(try results(second) == ["unchanged"], "\(second.errors)")
        #expect(try second.events().first { $0["event"]?.text == "finished" }?["bytesWritten"]?.number == 0)
        let verify = try await FlashlayerProgram.run(["verify", image, loop.path])
        #expect(verify.status == 0 && verify.errors.split(separator: "\n").count < 3, "\(verify.errors)")
    }

    /// The digests of the edits are those of the disk, and all else that the image covers is the image's.
    private func judgeRecord(_ finished: [String: JSONValue], _ loop: LoopDevice) async throws {
        guard case .array(let edits)? = finished["edits"] else { throw FlashlayerError(.fault, "no edits") }
        #expect(edits.count >= 5)
        for edit in edits {
            let range = try (#require(edit["offset"]?.number), #require(edit["length"]?.number))
            let sum = try await shell(
                #"tail -c +$(($2 + 1)) "$1" | head -c "$3" | sha256sum | cut -c1-64"#,
                loop.path,
                "\(Int(range.0))",
                "\(Int(range.1))"
            )
            #expect(edit["sha256"]?.text == sum.trimmingCharacters, "\(edit)")
        }
    }

    @Test("--gpt keep leaves the table as it is in the image, and each kind is verified as what it is")
    func kept() async throws {
        let image = try await image()
        let loop = try LoopDevice(size: 32 << 20, fill: 0xAA)
        defer { loop.close() }
        #expect(try await write(image, [loop], "--gpt", "keep").status == 0)
        #expect(try loop.read(count: Int(Self.imageSize)) == TestImage.bytes(of: image))
        #expect(try await FlashlayerProgram.run(["verify", image, loop.path, "--gpt", "keep"]).status == 0)
        let other = try await FlashlayerProgram.run(["verify", image, loop.path])
        #expect(other.status == 74 && other.errors.contains("--gpt keep"), "\(other.errors)")
        #expect(try await results(write(image, [loop], "--only-changed")) == ["pass"])
        #expect(try await complaints(loop.path).isEmpty)
        let kept = try await FlashlayerProgram.run(["verify", image, loop.path, "--gpt", "keep"])
        #expect(kept.status == 74, "\(kept.errors)")
    }

    @Test("a stream, a packed file and a qcow2 image end as the image itself does", arguments: ["gz", "pipe", "qcow2"])
    func sources(kind: String) async throws {
        let image = try await image()
        let loop = try LoopDevice(size: 33 << 20, fill: 0xAA)
        defer { loop.close() }
        switch kind {
        case "gz": try await shell(#"gzip -1 < "$1" > "$2""#, image, folder.file("given"))
        case "qcow2": try await shell(#"qemu-img convert -f raw -O qcow2 "$1" "$2""#, image, folder.file("given"))
        default: break
        }
        let outcome =
            kind == "pipe"
            ? try await FlashlayerProgram.script(
                #"cat "$1" | "$flashlayer" write - "$2" --allow virtual --yes"#,
                arguments: [image, loop.path]
            )
            : try await write(folder.file("given"), [loop])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try await complaints(loop.path).isEmpty)
        #expect(try await FlashlayerProgram.run(["verify", image, loop.path]).status == 0)
        if kind == "gz" {
            #expect(try await FlashlayerProgram.run(["verify", folder.file("given"), loop.path]).status == 0)
            #expect(try await results(write(folder.file("given"), [loop], "--only-changed")) == ["unchanged"])
        }
    }

    @Test("each of several disks gets the table that is right for it, the one of the image's size the image's own")
    func many() async throws {
        let image = try await image()
        let loops = try [Self.imageSize, 20 << 20, 31 << 20].map { try LoopDevice(size: $0, fill: 0xAA) }
        defer { for loop in loops { loop.close() } }
        let outcome = try await write(image, loops)
        #expect(try results(outcome) == ["pass", "pass", "pass"], "\(outcome.errors)")
        for loop in loops { #expect(try await complaints(loop.path).isEmpty) }
        #expect(try loops[0].read(count: Int(Self.imageSize)) == TestImage.bytes(of: image))
        let verify = try await FlashlayerProgram.run(["verify", image] + loops.map(\.path))
        #expect(verify.status == 0, "\(verify.errors)")
        #expect(try await FlashlayerProgram.run(["write", image, "null:", "--yes"]).status == 0)
    }

    @Test("a block map alone is enough to verify a disk whose table was moved", arguments: ["flashlayer", "bmaptool"])
    func byMap(maker: String) async throws {
        let image = try await image()
        let loop = try LoopDevice(size: 32 << 20, fill: 0xAA)
        defer { loop.close() }
        let map = folder.file("image.bmap")
        if maker == "flashlayer" {
            #expect(try await FlashlayerProgram.run(["map", image]).status == 0)
        } else {
            try await shell(#"bmaptool --quiet create -o "$2" "$1""#, image, map)
        }
        #expect(try await write(image, [loop]).status == 0)
        #expect(try await FlashlayerProgram.run(["verify", map, loop.path]).status == 0)
        #expect(try await results(write(image, [loop], "--only-changed")) == ["unchanged"])
        // A byte of the backup, and one of what the backup has left.
        for place in [(32 << 20) - 500, Int(Self.imageSize) - 400] as [Int] {
            try await shell(#"printf x | dd of="$1" bs=1 seek="$2" conv=notrunc status=none"#, loop.path, "\(place)")
            #expect(try await FlashlayerProgram.run(["verify", map, loop.path]).status == 74, "\(place)")
            #expect(try await FlashlayerProgram.run(["verify", image, loop.path]).status == 74, "\(place)")
            let again = try await write(image, [loop], "--only-changed")
            #expect(try results(again) == ["pass"], "\(again.errors)")
            #expect(try await FlashlayerProgram.run(["verify", map, loop.path]).status == 0)
        }
    }

    @Test(
        "a map is enough for a disk that is hardly larger, and for an image without a backup; else the image is asked for",
        arguments: ["hardly larger", "no backup", "damaged backup", "longer"]
    )
    func byMapOddly(kind: String) async throws {
        let image = try await image()
        let size = Self.imageSize + (kind == "hardly larger" ? 4096 : 8 << 20)
        let loop = try LoopDevice(size: size, fill: 0xAA)
        defer { loop.close() }
        switch kind {
        case "no backup": try await shell(#"truncate -s -16896 "$1"; truncate -s +16896 "$1""#, image)
        case "damaged backup":
            try await shell(#"printf x | dd of="$1" bs=1 seek=12582500 conv=notrunc status=none"#, image)
        case "longer": try await shell(#"truncate -s 14M "$1""#, image)
        default: break
        }
        #expect(try await FlashlayerProgram.run(["map", image]).status == 0)
        #expect(try await write(image, [loop]).status == 0)
        let verify = try await FlashlayerProgram.run(["verify", folder.file("image.bmap"), loop.path])
        if kind == "hardly larger" || kind == "no backup" {
            #expect(verify.status == 0, "\(verify.errors)")
        } else {
            #expect(verify.status == 74 && verify.errors.contains("the map alone cannot"), "\(verify.errors)")
        }
        // Nothing of the old backup stays, wherever it stood.
        let places = [Int(Self.imageSize) - 512, Int(size) - 512]
        let headers = try places.map { try loop.read(count: Int(size))[$0..<($0 + 8)] == Array("EFI PART".utf8)[...] }
        #expect(headers == [false, true])
        let again = try await write(image, [loop], "--only-changed")
        #expect(try results(again) == ["unchanged"], "\(again.errors)")
        #expect(try await FlashlayerProgram.run(["verify", image, loop.path]).status == 0)
    }

    @Test("a damaged table is written as it is, and told of")
    func damaged() async throws {
        let image = try await image()
        try await shell(#"printf x | dd of="$1" bs=1 seek=570 conv=notrunc status=none"#, image)
        let loop = try LoopDevice(size: 32 << 20, fill: 0xAA)
        defer { loop.close() }
        let outcome = try await write(image, [loop])
        #expect(outcome.status == 0)
        let warnings = try outcome.events().filter { $0["event"]?.text == "warning" }
        #expect(warnings.contains { $0["message"]?.text?.contains("damaged") ?? false }, "\(outcome.errors)")
        #expect(try loop.read(count: Int(Self.imageSize)) == TestImage.bytes(of: image))
    }

    @Test("an MBR for sectors of 512 bytes is refused for a disk of 4096, also from a pipe")
    func sectorSize() async throws {
        let image = folder.file("mbr")
        try await shell(#"truncate -s 8M "$1"; printf 'label: dos\nsize=4M\n' | sfdisk -q "$1""#, image)
        let loop = try LoopDevice(size: 16 << 20, sectorSize: 4096, fill: 0xAA)
        defer { loop.close() }
        let named = try await write(image, [loop])
        #expect(named.status == 77 && named.errors.contains("sector-size"), "\(named.errors)")
        let piped = try await FlashlayerProgram.script(
            #"cat "$1" | "$flashlayer" write - "$2" --allow virtual --yes"#,
            arguments: [image, loop.path]
        )
        #expect(piped.status == 77 && piped.errors.contains("sector-size"), "\(piped.errors)")
        #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA))
    }

    @Test("an MBR for sectors of 4096 bytes is written from a stream to such a disk, and to no other")
    func streamedSectorSize() async throws {
        let image = folder.file("mbr")
        try await shell(#"truncate -s 8M "$1"; printf 'label: dos\nstart=256,size=1024\n' | sfdisk -q "$1""#, image)
        try await shell(#"gzip -1 < "$1" > "$1.gz""#, image)
        let loop = try LoopDevice(size: 16 << 20, sectorSize: 4096, fill: 0xAA)
        defer { loop.close() }
        let written = try await write("\(image).gz", [loop])
        #expect(written.status == 0, "\(written.errors)")
        let other = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { other.close() }
        let refused = try await write("\(image).gz", [other])
        #expect(refused.status == 77 && refused.errors.contains("sector-size"), "\(refused.errors)")
        #expect(try results(refused) == ["fail"])
        #expect(try other.read(count: 1 << 20).isFilled(with: 0))
    }

    @Test(
        "a truncated image is refused before anything is written, and by a stream at its end",
        arguments: ["gpt", "dos"]
    )
    func truncated(label: String) async throws {
        let image = folder.file("cut")
        let script = "label: \(label)\nsize=4M\nsize=6M\n"
        try await shell(#"truncate -s 12M "$1"; printf "$2" | sfdisk -q "$1"; truncate -s 10M "$1""#, image, script)
        let loop = try LoopDevice(size: 16 << 20, fill: 0xAA)
        defer { loop.close() }
        let named = try await write(image, [loop])
        #expect(named.status == 65 && named.errors.contains("partition 2 ends at byte 11534336"), "\(named.errors)")
        #expect(try loop.read(count: 16 << 20).isFilled(with: 0xAA))
        let piped = try await FlashlayerProgram.script(
            #"cat "$1" | "$flashlayer" write - "$2" --allow virtual --yes"#,
            arguments: [image, loop.path]
        )
        #expect(piped.status == 65 && piped.errors.contains("bad-image"), "\(piped.errors)")
        #expect(try loop.read(count: 1 << 20).isFilled(with: 0))
        let kept = try await write(image, [loop], "--gpt", "keep")
        #expect(kept.status == 0 && kept.output.contains("truncated"), "\(kept.errors)")
    }

    @Test("new GUIDs are others on each disk, and verify says why it does not know them")
    func names() async throws {
        let image = try await image()
        let loops = try (0..<2).map { _ in try LoopDevice(size: 20 << 20) }
        defer { for loop in loops { loop.close() } }
        #expect(try await write(image, loops, "--new-guids").status == 0)
        var names: Set<String> = []
        for path in [image] + loops.map(\.path) {
            let dump = try await shell(#"sfdisk --dump "$1" | grep -oE '(uuid=|label-id: )[0-9A-F-]+' "#, path)
            names.formUnion(dump.split(separator: "\n").map(String.init))
        }
        #expect(names.count == 9, "\(names)")
        for loop in loops { #expect(try await complaints(loop.path).isEmpty) }
        let verify = try await FlashlayerProgram.run(["verify", image, loops[0].path])
        #expect(verify.status == 74 && verify.errors.contains("--new-guids"), "\(verify.errors)")
        #expect(verify.errors.contains("another partition table"), "\(verify.errors)")
        // Another image has other names as well: then they explain nothing.
        try await shell(#"printf x | dd of="$1" bs=1 seek=5000000 conv=notrunc status=none"#, loops[1].path)
        let other = try await FlashlayerProgram.run(["verify", image, loops[1].path])
        #expect(other.status == 74 && !other.errors.contains("--new-guids"), "\(other.errors)")
        let plain = folder.file("plain")
        try TestImage.create(plain, size: 4 << 20, data: [0..<(1 << 20)])
        let refused = try await write(plain, [loops[0]], "--new-guids")
        #expect(refused.status == 65 && refused.errors.contains("no GPT"), "\(refused.errors)")
    }

    /// Superblocks as their makers put them at the end of a disk, in Python: magic numbers and check sums.
    private static let oldMembers = #"""
        import struct, sys, uuid
        path, size, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
        with open(path, "r+b") as disk:
            def put(offset, content):
                disk.seek(offset); disk.write(content)
            if kind == "md-0.90":
                words = [0] * 1024
                words[0:5] = 0xA92B4EFC, 0, 90, 0, 0
                words[5], words[7], words[9], words[10] = 1, 1, 2, 2
                words[38] = 0
                words[38] = (sum(words) & 0xFFFFFFFF) + (sum(words) >> 32)
                put((size & ~0xFFFF) - 0x10000, struct.pack("<1024I", *words))
            elif kind == "md-1.0":
                place = ((size // 512 - 16) & ~7) * 512
                block = bytearray(4096)
                struct.pack_into("<II", block, 0, 0xA92B4EFC, 1)
                block[16:32] = uuid.uuid4().bytes
                struct.pack_into("<Q", block, 144, place // 512)
                struct.pack_into("<II", block, 220, 0, 0)
                struct.pack_into("<I", block, 92, 2)
                total = sum(struct.unpack("<64I", block[:256]))
                struct.pack_into("<I", block, 216, ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF)
                put(place, block)
            elif kind == "zfs":
                base = size & ~0x3FFFF
                for label in (base - 0x80000, base - 0x40000):
                    for number in range(128):
                        put(label + 0x20000 + number * 1024, struct.pack("<QQQQQ", 0x00BAB10C, 5000, 7, 1, 1))
            elif kind == "isw":
                put(size - 1024, b"Intel Raid ISM Cfg Sig. 1.3.00" + bytes(2))
            elif kind == "ddf":
                put(size - 512, struct.pack(">I", 0xDE11DE11) + bytes(4) + b"x" * 24 + b"01.02.00")
            elif kind == "promise":
                put(size - 3087 * 512, b"Promise Technology, Inc." + bytes(488))
        """#

    @Test(
        "nothing of an old RAID or pool behind the image is found on the disk any more",
        arguments: [
            ("md-0.90", 512), ("md-1.0", 512), ("md-1.0", 4096), ("zfs", 512), ("zfs", 4096), ("isw", 512),
            ("ddf", 512), ("promise", 512),
        ]
    )
    func oldMembers(kind: String, sectorSize: Int) async throws {
        let image = try await image(sectorSize: sectorSize)
        // On less than 64 MiB blkid looks for no ZFS.
        let size: UInt64 = 80 << 20
        let loop = try LoopDevice(size: size, sectorSize: sectorSize)
        defer { loop.close() }
        try await Program("python3", debianPackage: "python3").run([
            "-c", Self.oldMembers, loop.backingFile, "\(size)", kind,
        ])
        let found = try await shell(#"wipefs --noheadings --output TYPE "$1""#, loop.path)
        #expect(!found.isEmpty, "the rig itself does not work")
        let outcome = try await FlashlayerProgram.run([
            "write", image, loop.path, "--allow", "virtual", "--allow", "member", "--yes",
        ])
        #expect(outcome.status == 0, "\(outcome.errors)")
        let left = try await shell(#"wipefs --noheadings --output TYPE "$1" | sort -u"#, loop.path)
        #expect(left.split(separator: "\n").allSatisfy { ["gpt", "PMBR"].contains($0) }, "\(left)")
        #expect(try await complaints(loop.path).isEmpty)
    }

    @Test("what somebody puts behind the image is no failure of verify, but said; a write clears it")
    func behind() async throws {
        let image = try await image()
        let loop = try LoopDevice(size: 32 << 20)
        defer { loop.close() }
        #expect(try await write(image, [loop]).status == 0)
        try await shell(
            #"printf x | dd of="$1" bs=1 seek="$2" conv=notrunc status=none"#,
            loop.path,
            "\(Self.imageSize + 4096)"
        )
        let verify = try await FlashlayerProgram.run(["verify", image, loop.path])
        #expect(verify.status == 0 && verify.errors.contains("behind the image"), "\(verify.errors)")
        #expect(try await results(write(image, [loop], "--only-changed")) == ["pass"])
        #expect(try await results(write(image, [loop], "--only-changed")) == ["unchanged"])
    }
}

extension String {
    fileprivate var trimmingCharacters: String { filter { !$0.isWhitespace } }
}
