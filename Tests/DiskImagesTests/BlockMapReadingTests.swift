// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Model
import Programs
import TestSupport
import Testing

@Suite("Block maps of others")
struct BlockMapReadingTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
    }

    private func fault(_ text: String) throws -> FlashlayerError {
        let path = try folder.write(text, to: "faulty.bmap")
        return try #require(throws: FlashlayerError.self) { try BlockMap(contentsOf: path) }
    }

    @Test("what bmaptool makes is read, and each digest is that of the range in the image", arguments: [0, 100])
    func bmaptool(tail: UInt64) async throws {
        let image = folder.file("image.raw")
        let size: UInt64 = (9 << 20) + tail
        try TestImage.create(image, size: size, data: [0..<100_000, 4_000_000..<4_100_000, (size - 50)..<size])
        let bmaptool = try Program("bmaptool", debianPackage: "bmap-tools")
        try await bmaptool.run(["create", "-o", folder.file("image.bmap"), image])
        let map = try BlockMap(contentsOf: folder.file("image.bmap"))
        #expect(map.imageSize == size)
        #expect(map.uncheckedDigests == nil)
        #expect(map.chunkDigests == nil)
        #expect(map.ranges.count == 3)
        let bytes = try TestImage.bytes(of: image)
        for range in map.ranges {
            let place = map.bytes(of: range)
            let content = Array(bytes[Int(place.lowerBound)..<Int(place.upperBound)])
            #expect(try range.digest == SHA256.digest(of: content))
        }
        try await bmaptool.run(["create", "--no-checksum", "-o", folder.file("bare.bmap"), image])
        let bare = try BlockMap(contentsOf: folder.file("bare.bmap"))
        #expect(bare.ranges.map(\.first) == map.ranges.map(\.first))
        #expect(!bare.hasDigests)
    }

    @Test("our own map comes back as it was")
    func ours() throws {
        let digests = try (0..<3).map { try SHA256.digest(of: "\($0)") }
        let map = BlockMap(imageSize: (9 << 20) + 1, chunks: digests)
        #expect(try BlockMap(contentsOf: folder.write(try map.xml(), to: "a.bmap")) == map)
    }

    @Test(
        "1.x is read, its SHA-1 is not checked, and it says so",
        arguments: [
            ("1.3", "<BmapFileSHA1> 0 </BmapFileSHA1>", "sha1"), ("1.2", "", nil),
        ] as [(String, String, String?)]
    )
    func old(version: String, checksum: String, kind: String?) throws {
        let map = try BlockMap(
            contentsOf: folder.write(
                """
                <?xml version="1.0" ?>
                <!-- <Range> 7 </Range> in a comment -->
                <bmap version="\(version)">
                    <ImageSize> 5000 </ImageSize>
                    <BlockSize> 1024 </BlockSize>
                    <BlocksCount> 5 </BlocksCount>
                    <MappedBlocksCount> 3 </MappedBlocksCount>
                    \(checksum)
                    <BlockMap>
                        <Range sha1="da39a3ee5e6b4b0d3255bfef95601890afd80709"> 0-1 </Range>
                        <Range> 4 </Range>
                    </BlockMap>
                </bmap>
                """,
                to: "old.bmap"
            )
        )
        #expect(map.uncheckedDigests == kind)
        #expect(map.ranges == [.init(first: 0, last: 1, digest: nil), .init(first: 4, last: 4, digest: nil)])
        #expect(map.ranges.map(map.bytes(of:)) == [0..<2048, 4096..<5000])
    }

    @Test("1.4 is 2.0 by another number; another check sum than SHA-256 is named and not checked")
    func others() throws {
        let map = try BlockMap(imageSize: 4096, chunks: [SHA256.digest(of: "x")]).xml()
        let named = map.replacing(">sha256<", with: ">sha512<").replacing("\"2.0\"", with: "\"1.4\"")
        #expect(try BlockMap(contentsOf: folder.write(named, to: "a.bmap")).uncheckedDigests == "sha512")
    }

    @Test("one changed digit anywhere is found")
    func damaged() throws {
        let map = try BlockMap(imageSize: 4096, chunks: [SHA256.digest(of: "x")]).xml()
        let damaged = map.replacing("<?xml version=\"1.0\" ?>", with: "<?xml version=\"1.1\" ?>")
        let error = try fault(damaged)
        #expect(error.code == .badImage)
        #expect(error.message.contains("faulty.bmap:8: BmapFileChecksum"))
    }

    /// A map of 1.2, which has no check sums to be put right.
    private func plain(
        size: String = "8192",
        block: String = "4096",
        blocks: String = "2",
        mapped: String = "2",
        _ ranges: String = "<Range>0-1</Range>"
    ) -> String {
        """
        <bmap version="1.2">
        <ImageSize>\(size)</ImageSize>
        <BlockSize>\(block)</BlockSize>
        <BlocksCount>\(blocks)</BlocksCount>
        <MappedBlocksCount>\(mapped)</MappedBlocksCount>
        <BlockMap>
        \(ranges)
        </BlockMap>
        </bmap>
        """
    }

    @Test("every fault names file and line")
    func faults() throws {
        let one = "<Range>0</Range>\n<Range>"
        let faults: [(String, Int)] = [
            (plain(size: "-1"), 2), (plain(size: "0"), 2), (plain(size: "99999999999999999999"), 2),
            (plain(block: "1000"), 3), (plain(block: "0"), 3), (plain(blocks: "3"), 4), (plain(mapped: "1"), 5),
            (plain("<Range>1-0</Range>"), 7), (plain("<Range>0-2</Range>"), 7), (plain("<Range>0-</Range>"), 7),
            (plain("<Range>zero</Range>"), 7), (plain("<Range></Range>"), 7), (plain("<Range/>"), 7),
            (plain(one + "0-1</Range>"), 8), (plain(one + "1</Rang>"), 8), (plain("<Rang>0</Rang>"), 7),
            (plain("<Range a=1>0</Range>"), 7), (plain("<Range a='1' a='1'>0</Range>"), 7),
            (plain("<Range>&#48;</Range>"), 7), (plain("<!-- "), 7), (plain("<![CDATA[0]]>"), 7),
            (plain() + "\n<more/>", 10), (plain("</BlockMap></bmap>"), 8), ("<?xml version='1.0'?>\n<Envelope/>", 2),
            ("<bmap>", 1), ("<bmap version='3.0'/>", 1), ("<bmap version='x'/>", 1), ("<bmap version='2.0'", 1),
            ("", 1), ("<?xml", 1), ("\n\n<bmap version='2.0'/>", 3),
            (plain().replacing("</bmap>", with: ""), 9), (plain().replacing("ImageSize>", with: "Size>"), 9),
        ]
        for (text, line) in faults {
            let error = try fault(text)
            #expect(error.code == .badImage, "\(text)")
            #expect(error.message.contains("faulty.bmap:\(line): "), "\(error.message)\n\(text)")
        }
    }

    @Test("text of any kind is read or refused, never more")
    func anyText() throws {
        var random = SplitMix(seed: 4)
        let map = Array(try BlockMap(imageSize: 9000, chunks: [SHA256.digest(of: "x")]).xml().utf8)
        for _ in 0..<300 {
            var bytes = Array(map.prefix(Int(random.next() % UInt64(map.count))))
            for _ in 0..<(random.next() % 4) where !bytes.isEmpty {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            let path = folder.file("any.bmap")
            try folder.write(String(decoding: bytes, as: UTF8.self), to: "any.bmap")
            #expect(throws: FlashlayerError.self) { try BlockMap(contentsOf: path) }
        }
    }

    @Test("the map beside an image is found by the image's name less its suffixes, the longest name first")
    func beside() throws {
        let image = folder.file("kiosk-1.2.raw.xz")
        #expect(BlockMap.beside(image) == nil)
        for name in ["kiosk-1.2.bmap", "kiosk-1.2.raw.bmap", "kiosk-1.2.raw.xz.bmap"] {
            try folder.write("", to: name)
            #expect(BlockMap.beside(image) == folder.file(name))
        }
        try folder.write("", to: "kiosk-1.bmap")
        #expect(BlockMap.beside(folder.file("kiosk-1.3")) == nil, "a version is no suffix")
        #expect(BlockMap.place(beside: "a/kiosk-1.2.raw.xz") == "a/kiosk-1.2.bmap")
        #expect(BlockMap.place(beside: "./kiosk-1.2") == "./kiosk-1.2.bmap")
        #expect(BlockMap.place(beside: "a.b/.hidden") == "a.b/.hidden.bmap")
    }

    @Test("an image is opened with its map, by default and on request; a map alone is no source")
    func reference() async throws {
        let image = folder.file("kiosk.raw")
        try TestImage.create(image, size: 5000, data: [0..<5000])
        let scan = try await ImageScan.scan(try await ImageFormat.openLocal(image), wholeDigest: false)
        #expect(try await ImageReference(image).open().blockMap == nil)
        let map = try folder.write(try scan.blockMap.xml(), to: "kiosk.bmap")
        let open = try await ImageReference(image).open()
        #expect(open.blockMap == scan.blockMap)
        #expect(open.files == [image, map])
        #expect(try await ImageReference(image, blockMap: .none).open().blockMap == nil)
        let alone = try await ImageReference(map).open()
        #expect(alone.source == nil && alone.blockMap == scan.blockMap)

        let other = try folder.write(try BlockMap(imageSize: 4999, chunks: scan.chunkDigests).xml(), to: "other.bmap")
        let error = await #expect(throws: FlashlayerError.self) {
            try await ImageReference(image, blockMap: .file(other)).open()
        }
        #expect(error?.code == .digestMismatch)
        await #expect(throws: FlashlayerError.self) {
            try await ImageReference(image, blockMap: .file(folder.file("missing"))).open()
        }
    }
}
