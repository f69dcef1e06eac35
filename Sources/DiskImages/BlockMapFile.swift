// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model

extension BlockMap {
    /// A map of 16 TiB in chunks of 4 MiB is half as long.
    private static let largestFile: UInt64 = 1 << 30

    /// Reads a `.bmap` file. Blocks.
    ///
    /// - Throws: `not-found`, `not-permitted`; `bad-image` with file and line.
    package init(contentsOf path: String) throws {
        let file = try ImageFile(path)
        guard file.size <= Self.largestFile else {
            throw FlashlayerError(.badImage, "\(path) is no block map: none is as large as \(file.size) bytes")
        }
        self = try BlockMapText.read(try file.prefix(Int(file.size)), path: path)
    }

    /// The map that lies beside an image: of `kiosk.raw.xz` the first of `kiosk.raw.xz.bmap`, `kiosk.raw.bmap` and
    /// `kiosk.bmap` that is there.
    package static func beside(_ image: String) -> String? {
        names(beside: image).first { unsafe access($0, F_OK) == 0 }
    }

    /// Where the map of an image goes, so that it is found again: the last place that is looked at, as `flashlayer
    /// build` has it too.
    package static func place(beside image: String) -> String {
        names(beside: image).last ?? image + ".bmap"
    }

    private static let compressions: Set = ["gz", "xz", "zst", "zstd", "bz2"]

    private static func names(beside image: String) -> [String] {
        var stems = [image]
        var rest = image
        // At most the suffix of a compression and that of a format: the numbers of a version are no suffixes.
        while stems.count < 3, let suffix = suffix(of: rest) {
            rest = String(rest.dropLast(suffix.count + 1))
            stems.append(rest)
            if !compressions.contains(suffix.lowercased()) { break }
        }
        return stems.map { $0 + ".bmap" }
    }

    /// What follows the last dot of a file's name, when it begins with a letter and is not all of the name.
    private static func suffix(of path: String) -> Substring? {
        let name = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
        let suffix = name[name.index(after: dot)...]
        return suffix.first?.isLetter == true ? suffix : nil
    }

    /// Whether a file is a block map, or other XML that is taken for a broken one. Told by its first bytes.
    static func isMap(_ path: String) -> Bool {
        let descriptor = unsafe flashlayer_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
        var start = [UInt8](repeating: 0, count: 16)
        let count = unsafe start.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, $0.count, 0) }
        let text = String(decoding: start.prefix(max(0, count)), as: UTF8.self).drop { $0 == "\u{FEFF}" }
        return text.hasPrefix("<?xml") || text.hasPrefix("<bmap")
    }
}
