// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Testing

@testable import Model

@Suite("Sizes")
struct ByteSizeTests {
    @Test(
        "G is 2^30, GB is 10^9, nothing is bytes",
        arguments: [
            ("0", 0), ("512", 512), ("1k", 1024), ("7G", 7 << 30), ("1.5M", 3 << 19), ("4GB", 4_000_000_000),
            ("4GiB", 4 << 30), ("2T", 2 << 40), ("10b", 10),
        ] as [(String, UInt64)]
    )
    func parses(text: String, bytes: UInt64) {
        #expect(ByteSize.parse(text) == bytes)
    }

    @Test(
        "what is no size is refused",
        arguments: ["", "G", "-1", "1x", "1GBB", "1 G", "99999999999T", "1.2.3G", "NaN"]
    )
    func refuses(text: String) {
        #expect(ByteSize.parse(text) == nil)
    }

    @Test(
        "sizes read as a person writes them",
        arguments: [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2 << 30, "2 GiB"), (8_004_304_896, "7.5 GiB")]
            as [(UInt64, String)]
    )
    func describes(bytes: UInt64, text: String) {
        #expect(ByteSize.describe(bytes) == text)
    }
}

@Suite("Errors")
struct ErrorTests {
    @Test("every code has an exit status of the contract", arguments: ErrorCode.allCases)
    func statuses(code: ErrorCode) {
        #expect([64, 65, 66, 69, 70, 73, 74, 75, 77, 78, 130, 143].contains(code.exitStatus))
    }

    @Test("a code of another version is a fault, not a crash")
    func unknownCode() throws {
        let error = try JSON.decode(FlashlayerError.self, #"{"code":"from-the-future","message":"m"}"#)
        #expect(error.code == .fault)
        #expect(error.message == "m")
    }

    @Test("errno decides the code where it says more than the caller")
    func errnoCodes() {
        #expect(FlashlayerError.system("x", Errno(28), code: .cannotCreate).code == .noSpace)
        #expect(FlashlayerError.system("x", Errno(28), code: .ioError).code == .ioError)
        #expect(FlashlayerError.system("x", Errno(13), code: .badImage).code == .notPermitted)
        #expect(FlashlayerError.system("x", Errno(19), code: .ioError).code == .deviceGone)
        #expect(FlashlayerError.system("x", Errno(2), code: .badImage).code == .notFound)
    }
}

@Suite("Memory")
struct AlignedBufferTests {
    @Test("zeros are told from anything else, wherever the byte stands")
    func zeros() {
        let buffer = AlignedBuffer(count: 8192)
        #expect(unsafe buffer.bytes.isAllZero)
        for position in [0, 1, 63, 64, 4095, 8191] {
            unsafe buffer.mutableBytes[position] = 1
            #expect(unsafe !buffer.bytes.isAllZero)
            unsafe buffer.mutableBytes[position] = 0
        }
        #expect(unsafe UnsafeRawBufferPointer(rebasing: buffer.bytes[1..<70]).isAllZero)
    }
}
