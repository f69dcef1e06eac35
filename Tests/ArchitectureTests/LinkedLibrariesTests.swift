// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Programs
import TestSupport
import Testing

@Suite("What flashlayer links")
struct LinkedLibrariesTests {
    /// The toolchain's own are left out: the program that ships has them built in.
    private static func libraries() async throws -> [String] {
        let list = try await Program("ldd", debianPackage: "libc-bin").run([try FlashlayerProgram.path])
        let toolchain = ["libswift", "libFoundation", "lib_Foundation", "libdispatch", "libBlocksRuntime"]
        return list.split(separator: "\n")
            .compactMap { $0.split(whereSeparator: \.isWhitespace).first.map(String.init) }
            .filter { library in !toolchain.contains { library.hasPrefix($0) } }
    }

    @Test("few libraries, so that it starts in a ramdisk, and no libguestfs")
    func few() async throws {
        let libraries = try await Self.libraries()
        #expect(!libraries.contains { $0.contains("guestfs") }, "\(libraries)")
        #expect(libraries.count <= 14, "\(libraries)")
        for needed in ["libcrypto", "libudev", "libblkid", "liburing", "libz", "liblzma", "libzstd", "libbz2"] {
            #expect(libraries.contains { $0.hasPrefix(needed) }, "\(libraries)")
        }
    }
}
