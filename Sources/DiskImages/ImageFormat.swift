// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Model

/// The formats that are known by their first bytes, readable or not: a name says nothing.
package enum ImageFormat: String, CaseIterable, Sendable {
    case qcow2, vmdk, vdi, vhdx, vpc, gzip, xz, zstd, bzip2, luks, raw

    /// Bytes of a file's start that are enough to tell.
    static let probeLength = 512

    static func detect(_ start: [UInt8]) -> ImageFormat {
        func has(_ magic: [UInt8], at offset: Int = 0) -> Bool {
            start.count >= offset + magic.count && start[offset..<(offset + magic.count)].elementsEqual(magic)
        }
        if has([0x51, 0x46, 0x49, 0xFB]) { return .qcow2 }
        if has(Array("KDMV".utf8)) || has(Array("# Disk DescriptorFile".utf8)) { return .vmdk }
        if has([0x7F, 0x10, 0xDA, 0xBE], at: 64) { return .vdi }
        if has(Array("vhdxfile".utf8)) { return .vhdx }
        if has(Array("conectix".utf8)) { return .vpc }
        if has([0x1F, 0x8B]) { return .gzip }
        if has([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) { return .xz }
        // A skippable frame may come first, as pzstd(1) writes it: its last four bits are free.
        if has([0x28, 0xB5, 0x2F, 0xFD]) || has([0x2A, 0x4D, 0x18], at: 1) && start[0] & 0xF0 == 0x50 { return .zstd }
        if has(Array("BZh".utf8)) { return .bzip2 }
        if has([0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE]) { return .luks }
        return .raw
    }

    /// The format of a file or device, told by its content.
    ///
    /// - Throws: `not-found`, `not-permitted`, `bad-image` when it is no file.
    package static func probe(_ path: String) throws -> ImageFormat {
        try tell(ImageFile(path))
    }

    /// By its first bytes; a disk is what it holds, byte for byte. A fixed vpc image is raw content with a footer of 512 bytes.
    static func tell(_ file: ImageFile) throws -> ImageFormat {
        // What a disk holds in its first sectors must not make other files be read in its place.
        guard file.isRegular else { return .raw }
        let format = detect(try file.prefix(probeLength))
        guard format == .raw, file.size > 1024 else { return format }
        var footer = [UInt8](repeating: 0, count: 512)
        try unsafe footer.withUnsafeMutableBytes { try unsafe file.readCached(into: $0, at: file.size - 512) }
        return footer.starts(with: "conectix".utf8) ? .vpc : .raw
    }

    /// The image file and the backing files that its content comes from, the image first.
    ///
    /// - Throws: `not-found`, `not-permitted`, `bad-image`.
    package static func files(of path: String) async throws -> [String] {
        guard try probe(path) == .qcow2 else { return [path] }
        return [path] + (try await QemuImage.chain(of: path)).dropFirst().map(\.filename)
    }

    /// Opens a local file that is read in any order, whatever its name says. What a user names to be written or mapped
    /// may be more than that: see `ImageReference.open`.
    ///
    /// - Throws: `not-found`, `bad-image`, `unavailable` for a compressed file and where a program is missing.
    package static func openLocal(_ path: String) async throws -> any RandomAccessSource {
        let file = try ImageFile(path)
        return try await openLocal(file, tell(file))
    }

    /// The same where the format is known: what a raw image begins with must not make it another one.
    package static func openLocal(_ path: String, as format: ImageFormat) async throws -> any RandomAccessSource {
        try await openLocal(try ImageFile(path), format)
    }

    static func openLocal(_ file: ImageFile, _ format: ImageFormat) async throws -> any RandomAccessSource {
        let path = file.path
        switch format {
        case .raw, .luks:
            return try RawSource(file)
        case .qcow2:
            do {
                return try await Qcow2Source(file)
            } catch is Qcow2Source.HasCompressedClusters {
                return try await ExportedSource(file, format: .qcow2)
            }
        case .gzip, .xz, .zstd, .bzip2:
            throw FlashlayerError(
                .unavailable,
                "\(path) is compressed (\(format.rawValue)) and can only be read from its start to its end",
                advice: format.unpackAdvice(path)
            )
        case .vmdk, .vdi, .vhdx, .vpc:
            return try await ExportedSource(file, format: format)
        }
    }

    /// Reads the first MiB: what fails here fails before anything is claimed.
    package static func readStart(of source: any RandomAccessSource) throws {
        let length = min(Int(source.size), Int(ByteSize.mebibyte))
        let buffer = AlignedBuffer(count: length)
        try unsafe source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<length]), at: 0)
    }

    /// Whether an image of this format is unpacked, or only received, from its start to its end.
    var isStreamed: Bool {
        switch self {
        case .gzip, .xz, .zstd, .bzip2: true
        case .qcow2, .vmdk, .vdi, .vhdx, .vpc, .luks, .raw: false
        }
    }

    /// What makes an image of a file that is packed so.
    package func unpackAdvice(_ name: String) -> String {
        let command =
            switch self {
            case .gzip: "gzip -dc"
            case .xz: "xz -dc"
            case .zstd: "zstd -dc --long=31"
            case .bzip2: "bzip2 -dc"
            default: "cat"
            }
        let unpacked = name.contains("://") ? "curl -fL \(name) | \(command)" : "\(command) \(name)"
        return "unpack it first: \(unpacked) > IMAGE"
    }
}
