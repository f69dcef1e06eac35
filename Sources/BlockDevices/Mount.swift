// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// One line of mountinfo. See proc_pid_mountinfo(5).
package struct Mount: Hashable, Sendable {
    /// The kernel's number of this mount, the same in every process that sees it.
    package let id: Int
    /// The mount that this one lies on.
    package let parent: Int
    package let device: DeviceNumber
    /// The folder of the file system that is shown: `/` unless it is a bind mount or a subvolume.
    package let root: String
    /// Absolute, as the process sees it.
    package let mountPoint: String
    package let fileSystem: String
    /// A device path for most disk file systems, a pool or server or any word for others.
    package let source: String
    /// Of this mount, such as `ro,nosuid`.
    package let flags: [Substring]
    /// How it shares what is mounted below it, such as `shared:5`.
    package let propagation: [Substring]
    /// Of the file system, such as `lowerdir=/a:/b`.
    package let options: [Substring]
    /// A process that has the mount, when it is neither ours nor the first process's.
    package let process: Int?

    /// - Parameter line: one line, without its newline.
    package init?(line: some StringProtocol, process: Int? = nil) {
        let fields = line.split(separator: " ")
        // Six fields, any number of optional ones, a hyphen, three fields; a source may be empty in the kernel's text.
        guard let hyphen = fields.dropFirst(6).firstIndex(of: "-"), hyphen + 1 < fields.count,
            let id = Int(fields[0]), let parent = Int(fields[1]), let device = DeviceNumber(fields[2])
        else { return nil }
        let tail = fields[(hyphen + 1)...].map { String($0) }
        self.id = id
        self.parent = parent
        self.device = device
        self.root = OctalEscapes.decode(fields[3])
        // Their text is a piece of the line: copies, which keep the line out of memory.
        self.flags = String(fields[5]).split(separator: ",")
        self.propagation = fields[6..<hyphen].map { Substring(String($0)) }
        self.mountPoint = OctalEscapes.decode(fields[4])
        self.fileSystem = tail[0]
        self.source = tail.count > 2 ? OctalEscapes.decode(tail[1]) : ""
        self.options = (tail.last ?? "").split(separator: ",")
        self.process = process
    }

    /// "(mountinfo 36)", with the process where the mount is not ours.
    package var place: String {
        process.map { "(in another mount namespace: process \($0), mountinfo \(id))" } ?? "(mountinfo \(id))"
    }

    /// Whether a path lies at or below the mount point.
    func covers(_ path: String) -> Bool {
        mountPoint == "/" || path == mountPoint || path.hasPrefix(mountPoint + "/")
    }

    /// The value of an option such as `upperdir`.
    func option(_ name: String) -> String? {
        options.first { $0.hasPrefix(name + "=") }.map { OctalEscapes.decode($0.dropFirst(name.count + 1)) }
    }
}

/// One line of /proc/swaps. See proc_swaps(5).
package struct Swap: Hashable, Sendable {
    package let path: String
    package let isFile: Bool
    /// Of a file: whether its path still leads to a file. It may be deleted, or lie below a later mount.
    package var isThere = true

    /// - Returns: nil for the heading as well.
    package init?(line: some StringProtocol) {
        let fields = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
        guard fields.count >= 3, fields[0].hasPrefix("/") else { return nil }
        path = OctalEscapes.decode(fields[0])
        isFile = fields[1] == "file"
    }
}

/// How the kernel writes spaces, tabs, newlines and backslashes in mountinfo and swaps: `\040`.
enum OctalEscapes {
    static func decode(_ text: some StringProtocol) -> String {
        let source = Array(text.utf8)
        var bytes: [UInt8] = []
        var index = 0
        while index < source.count {
            if source[index] == UInt8(ascii: "\\"), index + 3 < source.count,
                case let digits = source[(index + 1)...(index + 3)],
                digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) }),
                case let value = digits.reduce(0, { $0 << 3 | Int($1 & 7) }), value < 256
            {
                bytes.append(UInt8(value))
                index += 4
            } else {
                bytes.append(source[index])
                index += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
