// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Model
import Threads

/// Holds the image to the digests of its block map while it is read, on a thread of its own.
final class MapCheck: Sendable {
    private let verdict = Monitor<Result<Void, any Error>?>(nil)

    /// - Parameter join: gives a feed of the pass that everybody takes part in.
    /// - Returns: nil where there is nothing to check, or `JobImage.holdToMap` does it: a map with a digest for each chunk
    ///   needs no hashing of its own.
    init?(of image: JobImage, _ join: () -> Feed?) throws {
        guard let map = image.map, map.hasDigests, map.chunkDigests == nil, let feed = join() else { return nil }
        let name = image.source.facts.path
        _ = try OwnThread(named: "check-map") { [verdict] in
            let result = Result { try Self.run(RangeCheck(map, name: name), feed) }
            feed.close()
            verdict.update { $0 = result }
        }
    }

    /// Blocks until the whole image was checked.
    ///
    /// - Throws: `digest-mismatch`; what the source threw.
    func wait(whileWaiting: () throws -> Void) throws {
        while true {
            if let result = verdict.wait(upTo: .milliseconds(100), for: { $0 }) { return try result.get() }
            try whileWaiting()
        }
    }

    private static func run(_ check: consuming RangeCheck, _ feed: Feed) throws {
        while true {
            switch try feed.take(upTo: .milliseconds(100)) {
            case .nothingYet: continue
            case .piece(let piece):
                if let chunk = piece.chunk {
                    try unsafe check.add(chunk.content, at: chunk.offset)
                } else {
                    try check.addZeros(piece.range)
                }
            case .end: return
            case .detached: throw FlashlayerError(.fault, "the check of the block map was put off")
            }
        }
    }
}

/// Compares content that comes in order with the digests of a block map's ranges.
struct RangeCheck: ~Copyable {
    private let map: BlockMap
    private let name: String
    private let code: ErrorCode
    private var index = 0
    private var hash: SHA256?

    /// - Parameter code: what a wrong digest means.
    init(_ map: BlockMap, name: String, code: ErrorCode = .digestMismatch) {
        self.map = map
        self.name = name
        self.code = code
    }

    mutating func add(_ content: UnsafeRawBufferPointer, at offset: UInt64) throws {
        try walk(offset..<(offset + UInt64(content.count))) { hash, part in
            let start = Int(part.lowerBound - offset)
            unsafe hash.update(UnsafeRawBufferPointer(rebasing: content[start..<(start + part.count)]))
        }
    }

    mutating func addZeros(_ range: Range<UInt64>) throws {
        try walk(range) { hash, part in hash.updateZeros(UInt64(part.count)) }
    }

    private mutating func walk(_ range: Range<UInt64>, _ body: (inout SHA256, Range<UInt64>) -> Void) throws {
        while index < map.ranges.count {
            guard map.ranges[index].digest != nil else {
                index += 1
                continue
            }
            let wanted = map.bytes(of: map.ranges[index])
            let common = wanted.clamped(to: range)
            guard !common.isEmpty else { return }
            var current = try hash.take() ?? SHA256()
            body(&current, common)
            if common.upperBound == wanted.upperBound {
                let found = current.finish()
                if let expected = map.ranges[index].digest, found != expected { throw mismatch(wanted) }
                index += 1
            } else {
                hash = consume current
                return
            }
        }
    }

    private func mismatch(_ range: Range<UInt64>) -> FlashlayerError {
        FlashlayerError(
            code,
            "\(name) is not what its block map says, in bytes \(range.lowerBound) to \(range.upperBound - 1)",
            advice: code == .digestMismatch ? "copy or build it again; --no-bmap leaves the map out" : nil,
            offset: range.lowerBound
        )
    }
}
