// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CCrypto
import Glibc
import Model

/// SHA-256 (FIPS 180-4), computed by OpenSSL's libcrypto. See EVP_DigestInit(3).
@safe
package struct SHA256: ~Copyable {
    private let context: OpaquePointer

    /// - Throws: `FlashlayerError` when libcrypto refuses (no memory, or a policy that forbids SHA-256).
    package init() throws {
        guard Self.isReady, let context = unsafe EVP_MD_CTX_new() else { throw Self.refused }
        guard unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
            unsafe EVP_MD_CTX_free(context)
            throw Self.refused
        }
        unsafe self.context = context
    }

    /// By itself libcrypto takes itself apart in exit(3), under threads that still hash for what was just interrupted.
    /// See OPENSSL_init_crypto(3).
    private static let isReady = OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_ATEXIT), nil) == 1

    deinit {
        unsafe EVP_MD_CTX_free(context)
    }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        // SAFETY: the caller's buffer is valid for the call. The call fails only for a context that was not set up.
        _ = unsafe EVP_DigestUpdate(context, start, bytes.count)
    }

    package mutating func update(_ digest: Digest) {
        unsafe withUnsafeBytes(of: digest) { unsafe update($0) }
    }

    package mutating func update(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    package mutating func updateZeros(_ count: UInt64) {
        let zeros = unsafe AlignedBuffer.zeros.bytes
        var rest = count
        while rest > 0 {
            let length = Int(min(rest, UInt64(zeros.count)))
            unsafe update(UnsafeRawBufferPointer(rebasing: zeros[..<length]))
            rest -= UInt64(length)
        }
    }

    package consuming func finish() -> Digest {
        var digest = Digest()
        unsafe withUnsafeMutableBytes(of: &digest) { buffer in
            // SAFETY: the buffer holds the 32 bytes that SHA-256 writes.
            _ = unsafe EVP_DigestFinal_ex(context, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), nil)
        }
        return digest
    }

    /// The digest of bytes at hand.
    package static func digest(of bytes: UnsafeRawBufferPointer) throws -> Digest {
        var hash = try SHA256()
        unsafe hash.update(bytes)
        return hash.finish()
    }

    package static func digest(of bytes: [UInt8]) throws -> Digest {
        var hash = try SHA256()
        hash.update(bytes)
        return hash.finish()
    }

    package static func digest(of text: String) throws -> Digest {
        try digest(of: Array(text.utf8))
    }

    /// Of a whole file, whatever its size; links are followed. Blocks.
    ///
    /// - Throws: `not-found` when it cannot be read.
    package static func digest(ofFile path: String) throws -> Digest {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FlashlayerError.system("read \(path)", .current, code: .notFound) }
        defer { close(descriptor) }
        var hash = try SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw FlashlayerError.system("read \(path)", .current, code: .notFound) }
            guard count > 0 else { return hash.finish() }
            unsafe buffer.withUnsafeBytes { unsafe hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    private static var refused: FlashlayerError {
        FlashlayerError(.unavailable, "libcrypto does not give SHA-256 here")
    }
}

/// The 32 bytes of a SHA-256.
package struct Digest: Hashable, Sendable {
    package static let byteCount = 32
    // In place, not in an array: a large image has millions of digests.
    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    private var fourth: UInt64 = 0

    /// All zeros, to be filled.
    fileprivate init() {}

    package var bytes: [UInt8] { unsafe withUnsafeBytes(of: self) { unsafe Array($0) } }

    /// Reads 64 hexadecimal digits, of either case.
    package init?(hex: some StringProtocol) {
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in hex {
            guard let value = character.hexDigitValue, character.isASCII else { return nil }
            if let first = high {
                bytes.append(first << 4 | UInt8(value))
                high = nil
            } else {
                high = UInt8(value)
            }
        }
        guard bytes.count == Self.byteCount, high == nil else { return nil }
        unsafe withUnsafeMutableBytes(of: &self) { unsafe $0.copyBytes(from: bytes) }
    }

    /// 64 lower-case hexadecimal digits.
    package var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(2 * Self.byteCount)
        for byte in self.bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension Digest: CustomStringConvertible {
    package var description: String { hex }
}

extension Digest: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let digest = Digest(hex: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a SHA-256 in hexadecimal")
        }
        self = digest
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }
}
