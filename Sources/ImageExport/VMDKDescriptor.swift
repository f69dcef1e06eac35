// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// The text that describes a vmdk of several files. See "Virtual Disk Format 5.0" by VMware.
enum VMDKDescriptor {
    /// More is no descriptor.
    private static let limit = 64 << 10

    /// The names of the files that hold its content, as they stand in it; nil when the file is no such text.
    static func extents(of path: String) -> [String]? {
        // Without O_NONBLOCK a pipe would wait here for somebody who writes into it.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count > 0, bytes.starts(with: "# Disk DescriptorFile".utf8) else { return nil }
        return extents(in: String(decoding: bytes[..<count], as: UTF8.self))
    }

    /// `RW 4192256 SPARSE "kiosk-s001.vmdk"`
    static func extents(in text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split(separator: " ", maxSplits: 3)
            guard words.count == 4, ["RW", "RDONLY", "NOACCESS"].contains(words[0]), words[3].hasPrefix("\"") else {
                return nil
            }
            return String(words[3].dropFirst().prefix { $0 != "\"" })
        }
    }
}
