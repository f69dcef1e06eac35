// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Glibc
import Model
import Synchronization
import Threads

/// The image of a job, as all of its targets share it: read once, hashed once, in a bounded amount of memory.
final class JobImage: Sendable {
    let source: any ImageSource
    let map: BlockMap?
    /// What is read ahead of the image.
    let readPool: ChunkPool
    /// What is read back from the targets.
    let foundPool: ChunkPool
    let workers: WorkerThreads
    private let hungTargets = Atomic<Int>(0)
    private let hashing = Mutex<ChunkDigests?>(nil)
    private let targetCount: Int

    /// - Parameters:
    ///   - map: of its digests, if there is one.
    ///   - targetCount: one target alone needs less memory.
    ///   - needsDigests: hash the image while it is read.
    init(_ source: any ImageSource, map: BlockMap?, targetCount: Int, needsDigests: Bool) throws {
        self.source = source
        self.targetCount = targetCount
        self.map = map
        readPool = ChunkPool(chunks: targetCount == 1 ? 3 : targetCount <= 8 ? 8 : 6)
        // One for each at least: a target that is slow to be read keeps nobody else waiting.
        foundPool = ChunkPool(chunks: targetCount == 1 ? 4 : max(8, targetCount))
        workers = try WorkerThreads()
        if needsDigests { startHashing() }
    }

    /// The digests of the chunks; nil where nobody needs them.
    var digests: ChunkDigests? { hashing.withLock { $0 } }

    /// Hashes the image in every reading that is begun from now on.
    func startHashing() {
        hashing.withLock { $0 = $0 ?? ChunkDigests(on: workers) }
    }

    /// Bytes; nil for a stream before its end.
    var size: UInt64? { source.facts.size }

    /// The source where it can be read in any order.
    var seekable: (any RandomAccessSource)? { source as? any RandomAccessSource }

    var isRepeatable: Bool { (source as? any StreamSource)?.isRepeatable ?? true }

    /// Reads the first MiB: what fails here fails before anything is claimed.
    func readStart() throws {
        guard let source = seekable else { return }
        let length = min(Int(source.size), Int(ByteSize.mebibyte))
        let buffer = AlignedBuffer(count: length)
        try unsafe source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<length]), at: 0)
        // Where its holes are takes a walk through the file, for which the targets are not kept waiting.
        _ = try OwnThread(named: "map-image") { _ = source.extents }
    }

    /// A target that hangs keeps the memory that the kernel may still write into.
    func keepsMemory() {
        hungTargets.add(1, ordering: .relaxed)
    }

    /// When the work is over, whoever still holds a chunk has forgotten it.
    func leakedChunks() -> Int {
        let deadline = ContinuousClock.now + .seconds(2)
        while readPool.inUse + foundPool.inUse > 0, ContinuousClock.now < deadline { usleep(10_000) }
        return hungTargets.load(ordering: .relaxed) > 0 ? 0 : readPool.inUse + foundPool.inUse
    }

    /// What most requests of a target use memory of.
    ///
    /// - Parameter reading: it is read as well as written.
    func arenas(reading: Bool) -> [BufferArena] {
        reading ? [readPool.arena, foundPool.arena] : [readPool.arena]
    }

    /// - Parameter size: of the image, in bytes.
    /// - Returns: nil where nobody had it hashed.
    /// - Throws: `fault` unless every chunk was hashed.
    func imageDigest(size: UInt64) throws -> ImageDigest? {
        try digests.map { try $0.finish(imageSize: size).imageDigest }
    }

    /// Compares what was read of the image with its block map. A map of another make is held to by `MapCheck`.
    ///
    /// - Parameter imageSize: bytes, as the end of the image told them.
    /// - Throws: `digest-mismatch`.
    func holdToMap(imageSize: UInt64) throws {
        guard let map else { return }
        try map.confirm(imageSize: imageSize, of: source.facts.path)
        guard let expected = map.chunkDigests, let found = try digests?.finish(imageSize: imageSize) else { return }
        if let wrong = expected.indices.first(where: { found[$0] != expected[$0] }) {
            throw mismatch(at: UInt64(wrong) * ByteSize.chunk)
        }
    }

    /// What to say of an image that its block map does not fit.
    ///
    /// - Parameter offset: of the chunk that is wrong, in bytes.
    func mismatch(at offset: UInt64) -> FlashlayerError {
        FlashlayerError(
            .digestMismatch,
            "\(source.facts.path) is not what its block map says, in the 4 MiB from byte \(offset) on",
            advice: "copy or build it again; --no-bmap leaves the map out",
            offset: offset
        )
    }

    func share() -> ChunkShare { ChunkShare(of: foundPool, targets: targetCount) }
}
