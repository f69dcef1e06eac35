// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model
import Programs
import TestSupport
import Testing

/// A folder with an image to export, and what others say of the results.
final class ExportFolder: Sendable {
    let folder: TemporaryFolder
    let image: String
    let size: UInt64

    /// - Parameter data: ranges in bytes; the default has pieces of blocks of every format, and an end within one. dissect.hypervisor
    /// reads 8 KiB at a time, and past the end where the size is no multiple of that.
    init(
        size: UInt64 = 67 << 20 | 24576,
        data: [Range<UInt64>] = [
            0..<4096, 100_000..<200_000, (5 << 20)..<(8 << 20), (33 << 20) - 512..<(33 << 20) + 512,
            (67 << 20)..<(67 << 20 | 24576),
        ]
    ) throws {
        folder = try TemporaryFolder()
        image = folder.file("k.raw")
        self.size = size
        try TestImage.create(image, size: size, data: data)
    }

    func file(_ name: String) -> String { folder.file(name) }

    /// Everything in it, in order.
    var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
    }

    /// - Returns: what `--json` printed.
    @discardableResult
    func export(_ name: String, _ options: String...) async throws -> JSONValue {
        let outcome = try await FlashlayerProgram.run(["export", image, file(name), "--json"] + options)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return try JSONDecoder().decode(JSONValue.self, from: Data(outcome.output.utf8))
    }

    /// As Python finds it: sha256sum(1) takes many times as long.
    func sha256(of path: String) async throws -> String {
        let code = "import hashlib, sys; print(hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256').hexdigest())"
        return String(try await Program(at: "/usr/bin/python3").run(["-c", code, path]).prefix(64))
    }

    /// Size and SHA-256 of the content, as a reader finds them that is not QEMU.
    static func content(of path: String, _ format: ExportFormat, by reader: Judge) async throws -> String {
        let script = "\(Checkout.root)/Tests/ImageExportTests/read-disk.py"
        let arguments = [script, reader.rawValue, format.rawValue, path]
        return String(try await Program(at: reader.python).run(arguments).dropLast())
    }
}

/// Readers of other people's formats.
enum Judge: String, Sendable {
    /// dissect.hypervisor, of PyPI.
    case dissect
    /// libvmdk and libvhdi, of Debian.
    case libyal

    /// See .ci/install-dependencies.
    var python: String {
        switch self {
        case .dissect: "/opt/flashlayer-judges/bin/python"
        case .libyal: "/usr/bin/python3"
        }
    }
}
