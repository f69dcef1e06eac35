// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// Small files of sysfs and procfs below a root, so that tests can lay out another machine in a folder.
///
/// Nothing here fails: what is not there, or goes away while it is read, is nil or empty, as devices come and go.
package struct FileTree: Sendable {
    /// Empty for this machine.
    let root: String

    package init(root: String = "/") {
        self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
    }

    var isThisMachine: Bool { root.isEmpty }

    /// The whole file, or nil.
    func bytes(_ path: String) -> [UInt8]? {
        // No O_PATH, no O_NONBLOCK: these files answer at once.
        let descriptor = unsafe open(root + path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            guard count > 0 else { return content }
            content += buffer[..<count]
        }
    }

    /// The whole file without the white space around it; nil when it is missing or empty.
    package func text(_ path: String) -> String? {
        guard let bytes = bytes(path) else { return nil }
        let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) || byte == 0 }
        guard let first = bytes.firstIndex(where: { !isSpace($0) }), let last = bytes.lastIndex(where: { !isSpace($0) })
        else { return nil }
        return String(decoding: bytes[first...last], as: UTF8.self)
    }

    func number(_ path: String) -> UInt64? {
        text(path).flatMap { UInt64($0) }
    }

    /// A file that holds 0 or 1.
    func flag(_ path: String) -> Bool {
        number(path).map { $0 != 0 } ?? false
    }

    /// The names in a folder, sorted.
    func names(in folder: String) -> [String] {
        guard let stream = unsafe opendir(root + folder) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            // SAFETY: d_name is a C string inside the entry, which lives until the next readdir of this stream.
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func exists(_ path: String) -> Bool {
        unsafe access(root + path, F_OK) == 0
    }

    /// What a symbolic link says.
    func linkText(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe buffer.withUnsafeMutableBytes { bytes -> Int in
            guard let start = bytes.baseAddress else { return 0 }
            return unsafe readlink(root + path, start.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    /// Where a symbolic link leads, as a path below the root; the path itself when it is no link.
    package func resolved(_ path: String) -> String {
        guard let target = linkText(path) else { return path }
        if target.hasPrefix("/") { return target }
        var parts = path.split(separator: "/").dropLast()
        for part in target.split(separator: "/") {
            switch part {
            case ".": continue
            case "..": parts = parts.dropLast()
            default: parts.append(part)
            }
        }
        return "/" + parts.joined(separator: "/")
    }
}
