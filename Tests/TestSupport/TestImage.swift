// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// Raw images with content that can be told from any other place of the image, and holes.
package enum TestImage {
    /// Creates a sparse file.
    ///
    /// - Parameters:
    ///   - size: bytes; any number.
    ///   - data: the ranges, in bytes, that hold data; the rest are holes.
    ///   - seed: two images with different seeds differ in every block of data.
    package static func create(_ path: String, size: UInt64, data: [Range<UInt64>], seed: UInt64 = 1) throws {
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FlashlayerError.system("create \(path)", .current, code: .cannotCreate) }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(size)) == 0 else {
            throw FlashlayerError.system("size \(path)", .current, code: .cannotCreate)
        }
        for range in data {
            let bytes = pattern(range, seed: seed)
            let written = unsafe bytes.withUnsafeBytes {
                unsafe pwrite(descriptor, $0.baseAddress, $0.count, off_t(range.lowerBound))
            }
            guard written == bytes.count else {
                throw FlashlayerError.system("write \(path)", .current, code: .cannotCreate)
            }
        }
    }

    /// The bytes that `create` puts in a range: never zero for long, different in every 8 bytes of an image. Whole
    /// words in a plain loop: tests are built without optimisation.
    package static func pattern(_ range: Range<UInt64>, seed: UInt64) -> [UInt8] {
        let first = range.lowerBound / 8
        let count = Int((range.upperBound + 7) / 8 - first)
        var words = [UInt64](repeating: 0, count: count)
        unsafe words.withUnsafeMutableBufferPointer { words in
            var index = 0
            while index < count {
                let word = (first &+ UInt64(index) &+ seed &* 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
                unsafe words[index] = word ^ (word &>> 29)
                index &+= 1
            }
        }
        return unsafe words.withUnsafeBytes { bytes in
            unsafe Array(bytes[Int(range.lowerBound % 8)..<(Int(range.lowerBound % 8) + range.count)])
        }
    }

    /// Bytes of a file.
    package static func size(of path: String) throws -> Int {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            throw FlashlayerError.system("look at \(path)", .current, code: .badImage)
        }
        return Int(status.st_size)
    }

    /// The whole of a file.
    package static func bytes(of path: String) throws -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FlashlayerError.system("open \(path)", .current, code: .badImage) }
        defer { close(descriptor) }
        let size = Int(lseek(descriptor, 0, SEEK_END))
        var bytes = [UInt8](repeating: 0, count: size)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count == size else { throw FlashlayerError.system("read \(path)", .current, code: .badImage) }
        return bytes
    }
}

extension [UInt8] {
    /// True when every byte is `value`: compared with itself, one byte further, at the speed of memcmp(3).
    package func isFilled(with value: UInt8) -> Bool {
        guard first == value else { return isEmpty }
        return unsafe withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return true }
            return unsafe memcmp(start, start + 1, bytes.count - 1) == 0
        }
    }
}
