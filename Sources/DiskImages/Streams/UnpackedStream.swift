// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Model

/// One pass over an image that is unpacked, or only received, while it is read.
///
/// It takes 1 MiB of stored bytes at a time, and what the unpacker needs: see `UnpackerMemory`.
final class UnpackedStream: ImageStream, @unchecked Sendable {
    // SAFETY: all that changes belongs to the one thread that reads; `cancel` touches nothing but `bytes`, which takes
    // it from any thread.
    private let origin: any ByteOrigin
    private let bytes: any ByteStream
    private let unpacker: any Unpacker
    private let format: ImageFormat
    private let stored = AlignedBuffer(count: Int(ByteSize.mebibyte))
    /// What of `stored` is not unpacked yet.
    private var pending = 0..<0
    private var storedEnded = false
    private var contentEnded = false
    /// Of the bytes as stored; nil when nobody said what it has to be, or when it was compared.
    private var hash: SHA256?
    private let wanted: Digest?
    /// The beginning of the content, which was looked at before anybody asked for it.
    private var ahead: ArraySlice<UInt8> = []

    /// - Parameter sha256: of the bytes as stored, compared before the end of the content is told.
    init(_ origin: any ByteOrigin, format: ImageFormat, sha256: Digest?, start: ByteStart? = nil) throws {
        self.origin = origin
        self.format = format
        wanted = sha256
        hash = try sha256.map { _ in try SHA256() }
        do {
            unpacker = try format.makeUnpacker()
        } catch let failure as UnpackerFailure {
            throw Self.error(failure, origin: origin, format: format, at: 0)
        }
        if let start {
            bytes = start.bytes
            unsafe stored.mutableBytes.copyBytes(from: start.first)
            pending = 0..<start.first.count
            unsafe hash?.update(UnsafeRawBufferPointer(rebasing: stored.bytes[pending]))
        } else {
            bytes = try origin.begin()
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        var filled = min(ahead.count, buffer.count)
        if filled > 0 {
            unsafe buffer.copyBytes(from: ahead.prefix(filled))
            ahead = ahead.dropFirst(filled)
        }
        while filled < buffer.count && !contentEnded {
            if pending.isEmpty && !storedEnded { try refill() }
            let step = try unsafe unpack(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            filled += step.put
            if step.put == 0 && storedEnded && pending.isEmpty {
                guard unpacker.mayEnd else { throw truncated }
                try confirmStored()
                contentEnded = true
            } else if step == UnpackerStep(taken: 0, put: 0) && !pending.isEmpty {
                throw error(.damaged("it goes on, but nothing comes of it"))
            }
        }
        return filled
    }

    /// The first bytes of the content, which later calls of `read` give all the same; fewer when it is shorter.
    func peek(_ count: Int) throws -> [UInt8] {
        let buffer = AlignedBuffer(count: count)
        let length = try unsafe read(into: buffer.mutableBytes)
        let start = unsafe Array(buffer.bytes[..<length])
        ahead = start[...] + ahead
        return start
    }

    func cancel() {
        bytes.cancel()
    }

    private func refill() throws {
        let count = try unsafe bytes.read(into: stored.mutableBytes)
        pending = 0..<count
        storedEnded = count == 0
        unsafe hash?.update(UnsafeRawBufferPointer(rebasing: stored.bytes[pending]))
    }

    private func unpack(into output: UnsafeMutableRawBufferPointer) throws -> UnpackerStep {
        let input = unsafe UnsafeRawBufferPointer(rebasing: stored.bytes[pending])
        do {
            let step = try unsafe unpacker.unpack(input, into: output, isLast: storedEnded)
            pending = (pending.lowerBound + step.taken)..<pending.upperBound
            return step
        } catch let failure as UnpackerFailure {
            throw error(failure)
        }
    }

    /// Compares what is known of the file as a whole.
    private func confirmStored() throws {
        if let wanted, let found = hash.take()?.finish(), found != wanted {
            throw FlashlayerError.wrongDigest(of: origin.name, found: found, wanted: wanted)
        }
        try origin.confirmUnchanged()
    }

    private var truncated: FlashlayerError {
        FlashlayerError(
            .badImage,
            "\(origin.name) is truncated: its \(format.rawValue) data goes on behind byte \(bytes.position), where it ends",
            advice: "copy or download it again"
        )
    }

    private func error(_ failure: UnpackerFailure) -> FlashlayerError {
        Self.error(failure, origin: origin, format: format, at: bytes.position - UInt64(pending.count))
    }

    private static func error(
        _ failure: UnpackerFailure,
        origin: any ByteOrigin,
        format: ImageFormat,
        at position: UInt64
    ) -> FlashlayerError {
        switch failure {
        case .damaged(let what):
            FlashlayerError(
                .badImage,
                "\(origin.name) is damaged around byte \(position) of the file: \(format.rawValue): \(what)",
                advice: "copy or download it again"
            )
        case .trailingBytes:
            FlashlayerError(
                .badImage,
                "\(origin.name) goes on behind the end of its \(format.rawValue) data, around byte \(position) of the file",
                advice: "copy or download it again; what stands there is no part of the image"
            )
        case .tooMuchMemory:
            FlashlayerError(
                .badImage,
                "unpacking \(origin.name) takes more memory than the \(ByteSize.describe(UnpackerMemory.limit)) that are allowed",
                advice: format.unpackAdvice(origin.name)
            )
        case .unavailable(let what):
            FlashlayerError(.unavailable, "\(origin.name) cannot be unpacked: there is no \(what) for it")
        }
    }
}

/// A pass that was begun to tell the format by.
struct ByteStart {
    let bytes: any ByteStream
    /// What was taken from it, at most 1 MiB.
    let first: [UInt8]
}

extension ImageFormat {
    /// For formats that are unpacked while they are read, and for raw.
    func makeUnpacker() throws -> any Unpacker {
        switch self {
        case .gzip: try GzipUnpacker()
        case .xz: try XzUnpacker()
        case .zstd: try ZstdUnpacker()
        case .bzip2: Bzip2Unpacker()
        default: PlainUnpacker()
        }
    }
}

extension FlashlayerError {
    static func wrongDigest(of name: String, found: Digest, wanted: Digest) -> FlashlayerError {
        FlashlayerError(
            .digestMismatch,
            "\(name) has the SHA-256 \(found), not \(wanted)",
            advice: "copy or download it again; when its publisher replaced it, give the digest of the new one"
        )
    }
}
