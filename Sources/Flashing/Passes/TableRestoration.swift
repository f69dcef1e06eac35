// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Model
import PartitionTables

extension RestoredTable {
    /// Puts what the image has into what was read from a disk whose table was edited for it.
    ///
    /// - Parameter start: of the bytes, on the disk.
    /// - Returns: where the disk does not have the zeros that an edit has left: the first such byte.
    func put(into bytes: UnsafeMutableRawBufferPointer, at start: UInt64) -> Int? {
        let whole = start..<(start + UInt64(bytes.count))
        let zeros = cleared.clamped(to: whole)
        let place = Int(zeros.lowerBound - start)..<Int(zeros.upperBound - start)
        let wrong = place.first { unsafe bytes[$0] != 0 }
        for edit in edits {
            let common = edit.range.clamped(to: whole)
            guard !common.isEmpty else { continue }
            let source = edit.bytes[Int(common.lowerBound - edit.offset)..<Int(common.upperBound - edit.offset)]
            let first = Int(common.lowerBound - start)
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[first..<(first + common.count)])
                .copyBytes(from: source)
        }
        return wrong
    }

    /// What the image's table was, told by the target.
    ///
    /// - Parameters:
    ///   - imageSize: bytes.
    ///   - first: how many bytes from the start have a digest of their own.
    ///   - digest: that one.
    ///   - last: digests of what is at the image's end: they tell whether a backup stood there.
    /// - Returns: the table, nil where that is not what the image had; `isEdited` where the disk has one that is made for
    ///   its size and not for the image's.
    static func find(
        on target: OpenTarget,
        imageSize: UInt64,
        first: UInt64,
        digest: Digest,
        last: [(range: Range<UInt64>, digest: Digest)]
    ) throws -> (table: RestoredTable?, isEdited: Bool) {
        let head = try target.read(0..<min(max(first, ImageEnds.length), target.size))
        let end = (target.size - min(target.size, ImageEnds.length)).roundedDown(to: target.sectorSize)
        var disk = DiskPicture(size: target.size)
        disk.add(head, at: 0)
        disk.add(try target.read(max(end, UInt64(head.count))..<target.size), at: max(end, UInt64(head.count)))
        let candidates = candidates(disk: disk, imageSize: imageSize, sectorSize: target.sectorSize)
        let fitting = try candidates.filter { candidate in
            var bytes = Array(head[..<Int(min(first, UInt64(head.count)))])
            _ = unsafe bytes.withUnsafeMutableBytes { unsafe candidate.put(into: $0, at: 0) }
            return try SHA256.digest(of: bytes) == digest
        }
        let proved =
            fitting.count < 2
            ? nil
            : try fitting.first { candidate in
                try last.allSatisfy { try candidate.digest(of: $0.range, on: target) == $0.digest }
            }
        return (proved ?? fitting.first, !candidates.isEmpty)
    }

    /// Of what the image has in a range, if this is its table.
    private func digest(of range: Range<UInt64>, on target: OpenTarget) throws -> Digest {
        let start = range.lowerBound.roundedDown(to: target.sectorSize)
        var bytes = try target.read(start..<range.upperBound)
        _ = unsafe bytes.withUnsafeMutableBytes { unsafe put(into: $0, at: start) }
        return try SHA256.digest(of: Array(bytes[Int(range.lowerBound - start)...]))
    }
}

extension OpenTarget {
    /// Reads a few bytes: from a sector's start; the last sector may be read in part.
    func read(_ range: Range<UInt64>) throws -> [UInt8] {
        guard !range.isEmpty else { return [] }
        let buffer = AlignedBuffer(count: padded(range.count))
        try queue.add(Transfer(.read, buffer, count: padded(range.count), offset: range.lowerBound))
        try queue.finish()
        return unsafe Array(buffer.bytes[..<range.count])
    }
}
