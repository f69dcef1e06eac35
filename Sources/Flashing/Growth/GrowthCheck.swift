// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model
import PartitionTables

/// Whether what is asked for can be done at all, told by the image alone: before anything is claimed.
struct GrowthCheck {
    /// - Throws: `cannot-grow`, `unavailable`; `bad-image` when the image cannot be read.
    static func run(_ source: any RandomAccessSource) throws {
        let name = source.facts.path
        let partition = try partition(
            of: name,
            size: source.size,
            sectorSize: UInt64(source.facts.tableSectorSize ?? 512)
        ) { try source.bytes($0) }
        let end = min(source.size, partition.offset + min(partition.size, GrownFileSystem.probeLength))
        try GrownFileSystem(source.bytes(partition.offset..<max(partition.offset, end)), of: name).confirmPrograms()
        for room in try partition.trailingRoom(diskSize: source.size, read: { try source.bytes($0) }) {
            for extent in source.extents where extent.kind == .data {
                let part = room.clamped(to: extent.offset..<extent.end)
                if let place = try firstContent(part, { try source.bytes($0) }) { throw refused(name, place) }
            }
        }
    }

    /// The same of an image that was a stream, told by the disk that it was written to.
    ///
    /// - Parameters:
    ///   - ends: of the image.
    ///   - limit: where the partition will end, in bytes.
    /// - Throws: `cannot-grow`.
    static func confirmTrailingZeros(_ ends: ImageEnds, on target: OpenTarget, before limit: UInt64) throws {
        let size = ends.ranges.last?.upperBound ?? 0
        let head = ends.head
        let partition = try partition(of: "the image", size: size, sectorSize: target.sectorSize) { wanted in
            wanted.upperBound <= UInt64(head.count)
                ? Array(head[Int(wanted.lowerBound)..<Int(wanted.upperBound)]) : try target.read(wanted)
        }
        for room in try partition.trailingRoom(diskSize: size, read: { try target.read($0) }) {
            let part = room.clamped(to: 0..<limit)
            let place = try firstContent(part) { range in
                try target.monitor.checkCancelled()
                return try target.read(range)
            }
            if let place { throw refused("the image", place) }
        }
    }

    /// - Returns: where something else than zeros stands, in steps of a piece.
    private static func firstContent(_ range: Range<UInt64>, _ read: LastPartition.Reader) throws -> UInt64? {
        var position = range.lowerBound
        while position < range.upperBound {
            let bytes = try read(position..<min(range.upperBound, position + ByteSize.mebibyte))
            let isZero = unsafe bytes.withUnsafeBytes { unsafe $0.isAllZero }
            if !isZero { return position + UInt64(bytes.firstIndex { $0 != 0 } ?? 0) }
            position += UInt64(bytes.count)
        }
        return nil
    }

    private static func refused(_ name: String, _ place: UInt64) -> FlashlayerError {
        FlashlayerError(
            .cannotGrow,
            "behind the last partition of \(name) something stands, from byte \(place) on, which growing would destroy",
            advice: "leave out --grow",
            offset: place
        )
    }

    /// - Throws: `cannot-grow`.
    static func partition(
        of name: String,
        size: UInt64,
        sectorSize: UInt64,
        read: LastPartition.Reader
    ) throws -> LastPartition {
        do {
            return try LastPartition(diskSize: size, sectorSize: sectorSize, read: read)
        } catch let fault as TableFault {
            throw FlashlayerError(
                .cannotGrow,
                "\(name) has no partition that could grow: \(fault.sentence)",
                advice: "leave out --grow"
            )
        }
    }
}
