// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model

/// Reads the text of a block map, of bmap-tools 1.0 to 2.0.
///
/// Until 1.3 check sums were SHA-1 (`BmapFileSHA1`, `sha1=`); 1.4 is 2.0 by another number, with `ChecksumType`,
/// `BmapFileChecksum` and `chksum=`. Only SHA-256 is checked; of other kinds the ranges are read and no more.
struct BlockMapText {
    private let path: String
    private let bytes: [UInt8]
    private var scanner: MarkupScanner
    /// The text of each simple element, and the line that it stands in.
    private var values: [String: (text: String, line: Int)] = [:]
    private var ranges: [(text: String, attributes: [String: String], line: Int)]?

    private init(_ bytes: [UInt8], path: String) {
        self.path = path
        self.bytes = bytes
        scanner = MarkupScanner(bytes)
    }

    /// - Parameter path: stands in messages.
    /// - Throws: `bad-image` with file and line.
    static func read(_ bytes: [UInt8], path: String) throws -> BlockMap {
        var text = BlockMapText(bytes, path: path)
        do {
            return try text.read()
        } catch let fault as MarkupScanner.Fault {
            throw FlashlayerError(
                .badImage,
                "\(path):\(fault.line): \(fault.message)",
                advice: "make the block map again (flashlayer map), or do without it: --no-bmap"
            )
        }
    }

    private mutating func read() throws -> BlockMap {
        guard case .start(let root, let attributes)? = try scanner.next(), root == "bmap" else {
            throw scanner.fault("this is no block map: its first element is not <bmap>")
        }
        let version = try self.version(attributes["version"])
        try readElements()
        if try scanner.next() != nil { throw scanner.fault("something follows </bmap>") }

        let imageSize = try number("ImageSize")
        let blockSize = try number("BlockSize")
        guard imageSize > 0, imageSize <= UInt64(Int64.max) else { throw fault("ImageSize", "is no size of an image") }
        guard blockSize > 0, blockSize % 512 == 0, blockSize <= 1 << 30 else {
            throw fault("BlockSize", "is no block size: multiples of 512 up to 1 GiB are")
        }
        let blocks = imageSize.roundedUp(to: blockSize) / blockSize
        guard try number("BlocksCount") == blocks else {
            throw fault("BlocksCount", "is not \(blocks), which ImageSize and BlockSize make")
        }
        let kind = try checksumKind(version)
        let isChecked = kind == "sha256"
        if isChecked { try confirmFileChecksum() }
        let ranges = try self.ranges(of: blocks, attribute: version < (1, 4) ? "sha1" : "chksum", isChecked: isChecked)
        let mapped = ranges.reduce(0) { $0 + $1.last - $1.first + 1 }
        guard try number("MappedBlocksCount") == mapped else {
            throw fault("MappedBlocksCount", "is not \(mapped), which the ranges make")
        }
        return BlockMap(
            imageSize: imageSize,
            blockSize: blockSize,
            ranges: ranges,
            uncheckedDigests: isChecked ? nil : kind
        )
    }

    // MARK: - Structure

    /// What stands inside `<bmap>`. Elements that are not known are passed over: minor versions may bring some.
    private mutating func readElements() throws(MarkupScanner.Fault) {
        while let token = try scanner.next() {
            switch token {
            case .end("bmap"): return
            case .end(let name): throw scanner.fault("</\(name)> closes nothing")
            case .text(let text): throw scanner.fault("'\(text.prefix(40))' stands between elements")
            case .start("BlockMap", _):
                guard ranges == nil else { throw scanner.fault("there are two <BlockMap>") }
                ranges = try readRanges()
            case .start(let name, _):
                let line = scanner.line
                guard let text = try content(of: name) else { continue }
                guard values.updateValue((text, line), forKey: name) == nil else {
                    throw scanner.fault("there are two <\(name)>")
                }
            }
        }
        throw scanner.fault("the file ends before </bmap>")
    }

    private mutating func readRanges() throws(MarkupScanner.Fault) -> [(String, [String: String], Int)] {
        var ranges: [(String, [String: String], Int)] = []
        while let token = try scanner.next() {
            switch token {
            case .end("BlockMap"): return ranges
            case .start("Range", let attributes):
                let line = scanner.line
                guard let text = try content(of: "Range") else { throw scanner.fault("<Range> holds no numbers") }
                ranges.append((text, attributes, line))
            default: throw scanner.fault("only <Range> stands in <BlockMap>")
            }
        }
        throw scanner.fault("the file ends before </BlockMap>")
    }

    /// The text of an element up to its end; nil when it has none, or elements of its own.
    private mutating func content(of name: String) throws(MarkupScanner.Fault) -> String? {
        var open = [name]
        var text: String?
        while let token = try scanner.next() {
            switch token {
            case .text(let found): text = found
            case .start(let inner, _): open.append(inner)
            case .end(let inner):
                guard open.popLast() == inner else { throw scanner.fault("</\(inner)> closes another element") }
                if open.isEmpty { return text }
            }
        }
        throw scanner.fault("the file ends before </\(name)>")
    }

    // MARK: - Values

    private func version(_ text: String?) throws(MarkupScanner.Fault) -> (major: Int, minor: Int) {
        let parts = text?.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) } ?? []
        guard parts.count == 2, let major = parts[0], let minor = parts[1], major >= 1, minor >= 0 else {
            throw scanner.fault("<bmap> has no version")
        }
        guard major <= 2 else {
            throw scanner.fault("the block map is of version \(major).\(minor); up to 2 is read")
        }
        return (major, minor)
    }

    /// "sha256"; nil for a map that has no check sums at all.
    private func checksumKind(_ version: (major: Int, minor: Int)) throws(MarkupScanner.Fault) -> String? {
        if version < (1, 4) { return version == (1, 3) ? "sha1" : nil }
        return try value("ChecksumType").text.lowercased()
    }

    /// `BmapFileChecksum` is the digest of the file with that digest's own digits as zeros, at the first place where
    /// they stand.
    private func confirmFileChecksum() throws {
        let said = try value("BmapFileChecksum").text
        let digits = Array(said.utf8)
        guard let digest = Digest(hex: said), let start = bytes.firstIndex(of: digits) else {
            throw fault("BmapFileChecksum", "is no SHA-256")
        }
        var content = bytes
        let zeros = repeatElement(UInt8(ascii: "0"), count: digits.count)
        content.replaceSubrange(start..<(start + digits.count), with: zeros)
        guard try SHA256.digest(of: content) == digest else {
            throw fault("BmapFileChecksum", "is not the digest of this file: it was damaged or edited")
        }
    }

    private func ranges(
        of blocks: UInt64,
        attribute: String,
        isChecked: Bool
    ) throws(MarkupScanner.Fault) -> [BlockMap.Range] {
        guard let ranges else { throw scanner.fault("there is no <BlockMap>") }
        var next: UInt64 = 0
        var result: [BlockMap.Range] = []
        result.reserveCapacity(ranges.count)
        for (text, attributes, line) in ranges {
            func fault(_ message: String) -> MarkupScanner.Fault { .init(line: line, message: message) }
            let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(Self.number)
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first <= last
            else {
                throw fault("'\(text.prefix(40))' is no range of blocks")
            }
            guard first >= next else { throw fault("the range \(text.prefix(40)) is not behind the one before it") }
            guard last < blocks else { throw fault("the range \(text.prefix(40)) ends behind the image") }
            next = last + 1
            var digest: Digest?
            if isChecked, let hex = attributes[attribute] {
                guard let found = Digest(hex: hex) else { throw fault("'\(hex.prefix(80))' is no SHA-256") }
                digest = found
            }
            result.append(BlockMap.Range(first: first, last: last, digest: digest))
        }
        return result
    }

    private func number(_ name: String) throws(MarkupScanner.Fault) -> UInt64 {
        let value = try value(name)
        guard let number = Self.number(value.text[...]) else { throw fault(name, "is no number") }
        return number
    }

    private static func number(_ text: Substring) -> UInt64? {
        let digits = text.drop { $0.isWhitespace }.prefix { $0.isASCII && $0.isNumber }
        guard text[digits.endIndex...].allSatisfy(\.isWhitespace) else { return nil }
        return UInt64(digits)
    }

    private func value(_ name: String) throws(MarkupScanner.Fault) -> (text: String, line: Int) {
        guard let value = values[name] else { throw scanner.fault("there is no <\(name)>") }
        return value
    }

    private func fault(_ name: String, _ message: String) -> MarkupScanner.Fault {
        .init(line: values[name]?.line ?? scanner.line, message: "\(name) \(message)")
    }
}

extension [UInt8] {
    /// Where a word stands for the first time.
    fileprivate func firstIndex(of word: [UInt8]) -> Int? {
        guard let first = word.first, count >= word.count else { return nil }
        return (0...(count - word.count)).first {
            self[$0] == first && self[$0..<($0 + word.count)].elementsEqual(word)
        }
    }
}
