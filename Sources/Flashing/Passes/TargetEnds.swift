// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Glibc
import Model
import PartitionTables

/// What a target has where it is written last: the image's ends with the table edits in them, the backup of the table
/// at the disk's own end, and zeros where something older could stand behind the image.
struct TargetEnds: Sendable {
    /// Right behind the image, and at the end of the disk. RAID members, ZFS and GPT backups stand within the last MiB;
    /// of some host adapters' RAID within the last 2. Bytes.
    private static let clearedBehind = ByteSize.mebibyte
    private static let clearedAtEnd = 2 * ByteSize.mebibyte

    /// A part of the target, whose last sector is filled up with zeros.
    struct Region: Sendable {
        enum Kind {
            /// A part of the image, edited or not.
            case image
            /// Behind the image: the backup of its table.
            case table
            /// Behind the image: zeros.
            case cleared
        }

        /// On the target, in bytes.
        let range: Range<UInt64>
        let content: AlignedBuffer
        let kind: Kind
    }

    /// Of the image as it is, without the edits.
    let image: ImageEnds
    /// In the order of their places.
    let regions: [Region]
    /// What the target has elsewise than the image.
    private let edited: [Range<UInt64>]
    /// What is wrong with the image's table.
    let notes: [String]

    /// The image's ends as they are, and nothing else.
    init(_ image: ImageEnds) {
        self.image = image
        regions = zip(image.ranges, image.contents).map { Region(range: $0, content: $1, kind: .image) }
        edited = []
        notes = []
    }

    /// The image's ends, edited for a disk.
    ///
    /// - Parameters:
    ///   - size: of the disk, in bytes.
    ///   - newGUIDs: the table gets other names for disk and partitions than the image has.
    /// - Throws: `bad-image` when there are no names that could be changed.
    init(_ image: ImageEnds, size: UInt64, sectorSize: UInt64, newGUIDs: Bool = false) throws {
        let imageSize = image.ranges.last?.upperBound ?? 0
        var picture = DiskPicture(size: imageSize)
        for (range, content) in zip(image.ranges, image.contents) {
            picture.add(unsafe Array(content.bytes[..<range.count]), at: range.lowerBound)
        }
        let newGUID: (() -> [UInt8])? = newGUIDs ? { Self.randomGUID() } : nil
        let edits = TableEdits(image: picture, diskSize: size, sectorSize: sectorSize, newGUID: newGUID)
        guard !newGUIDs || edits.hasTable else {
            throw FlashlayerError(
                .badImage,
                "the image has no GPT whose names could be renewed" + (edits.notes.first.map { ": \($0)" } ?? ""),
                advice: "leave out --new-guids"
            )
        }
        // What is not edited is the same for all targets, and there once.
        let own: [Region] = zip(image.ranges, image.contents).map { range, content in
            let whole = range.lowerBound..<range.upperBound.roundedUp(to: sectorSize)
            let isEdited = edits.edits.contains { $0.range.overlaps(whole) }
            return Region(range: range, content: isEdited ? Self.copy(content) : content, kind: .image)
        }
        let end = imageSize.roundedUp(to: sectorSize)
        let ranges: [Range<UInt64>] = edits.edits.map { $0.range }
        let tables: [Range<UInt64>] = ranges.map { $0.clamped(to: end..<max(end, size)) }.filter { !$0.isEmpty }
        let cleared: [Range<UInt64>] = Self.cleared(imageSize: imageSize, size: size, sectorSize: sectorSize)
            .flatMap { $0.without(tables) }
        let behind: [Region] =
            tables.map { Region(range: $0, content: AlignedBuffer(count: $0.count), kind: .table) }
            + cleared.map { Region(range: $0, content: AlignedBuffer(count: $0.count), kind: .cleared) }
        regions = own + behind.sorted { $0.range.lowerBound < $1.range.lowerBound }
        self.image = image
        notes = edits.notes
        edited = ranges.map { $0.clamped(to: 0..<end) }.filter { !$0.isEmpty }
        for edit in edits.edits { Self.put(edit, into: regions, sectorSize) }
    }

    /// The first MiB of the target, or less where that is the whole image.
    var head: [UInt8] {
        regions.first.map { unsafe Array($0.content.bytes[..<$0.range.count]) } ?? []
    }

    /// The table is another than the image's.
    var isEdited: Bool { !edited.isEmpty }

    /// What is zeroed behind an image, in whole sectors.
    static func cleared(imageSize: UInt64, size: UInt64, sectorSize: UInt64) -> [Range<UInt64>] {
        let start = min(size, imageSize.roundedUp(to: sectorSize))
        let first = start..<min(size, start + clearedBehind)
        let last = max(start, size - min(size, clearedAtEnd))..<size
        return (first.upperBound >= last.lowerBound ? [start..<size] : [first, last]).filter { !$0.isEmpty }
    }

    /// Random, as version 4 of RFC 9562, in the byte order of GPT.
    private static func randomGUID() -> [UInt8] {
        var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        bytes[7] = bytes[7] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        return bytes
    }

    private static func copy(_ buffer: AlignedBuffer) -> AlignedBuffer {
        let copy = AlignedBuffer(count: buffer.count)
        unsafe copy.mutableBytes.copyMemory(from: buffer.bytes)
        return copy
    }

    private static func put(_ edit: TableEdit, into regions: [Region], _ sectorSize: UInt64) {
        for region in regions {
            let whole = region.range.lowerBound..<region.range.upperBound.roundedUp(to: sectorSize)
            let common = whole.clamped(to: edit.range)
            guard !common.isEmpty else { continue }
            let source = edit.bytes[Int(common.lowerBound - edit.offset)..<Int(common.upperBound - edit.offset)]
            let place = Int(common.lowerBound - region.range.lowerBound)
            unsafe UnsafeMutableRawBufferPointer(
                rebasing: region.content.mutableBytes[place..<(place + common.count)]
            )
            .copyBytes(from: source)
        }
    }

    /// For the record: what is edited of the image, then what lies behind it.
    func edits() throws -> [FlashResult.Edit] {
        let behind = regions.filter { $0.kind != .image }.map(\.range)
        return try (edited + behind).map { range in
            guard let region = regions.first(where: { $0.range.lowerBound <= range.lowerBound && $0.holds(range) })
            else { throw FlashlayerError(.fault, "an edit that lies in no region of the target") }
            let place = Int(range.lowerBound - region.range.lowerBound)
            let bytes = unsafe UnsafeRawBufferPointer(
                rebasing: region.content.bytes[place..<(place + range.count)]
            )
            return FlashResult.Edit(
                offset: range.lowerBound,
                length: UInt64(range.count),
                sha256: try unsafe SHA256.digest(of: bytes)
            )
        }
    }
}

extension TargetEnds.Region {
    fileprivate func holds(_ other: Range<UInt64>) -> Bool {
        other.upperBound <= range.lowerBound + UInt64(content.count)
    }
}

extension Range<UInt64> {
    /// What is left of it: nothing of the others.
    fileprivate func without(_ others: [Range<UInt64>]) -> [Range<UInt64>] {
        others.reduce([self]) { rest, other in
            rest.flatMap { part -> [Range<UInt64>] in
                guard part.overlaps(other) else { return [part] }
                return [
                    part.lowerBound..<Swift.max(part.lowerBound, other.lowerBound),
                    Swift.min(part.upperBound, other.upperBound)..<part.upperBound,
                ]
                .filter { !$0.isEmpty }
            }
        }
    }
}
