// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// Where a file lies, as the kernel tells it.
package struct SourceFile: Sendable, Hashable {
    package let path: String
    /// `st_dev`; anonymous on btrfs, overlay and the like.
    package let device: DeviceNumber
    package let inode: UInt64
    /// The mount that the file was reached through; nil where procfs does not say.
    package let mount: Int?
    /// The path names a block device: this one.
    package let blockDevice: DeviceNumber?

    package init(path: String, device: DeviceNumber, inode: UInt64, mount: Int?, blockDevice: DeviceNumber? = nil) {
        self.path = path
        self.device = device
        self.inode = inode
        self.mount = mount
        self.blockDevice = blockDevice
    }

    /// Looks at the file, or at the nearest folder above it when it does not exist yet; nil when not even that is
    /// there.
    init?(_ path: String) {
        var place = path
        var descriptor = Self.find(place)
        while descriptor < 0, let slash = place.lastIndex(of: "/"), slash != place.startIndex {
            place = String(place[..<slash])
            descriptor = Self.find(place)
        }
        if descriptor < 0 { descriptor = Self.find(path.hasPrefix("/") ? "/" : ".") }
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return nil }
        let lines = FileTree().text("/proc/self/fdinfo/\(descriptor)")?.split(separator: "\n") ?? []
        let mount = lines.first { $0.hasPrefix("mnt_id:") }?.split(whereSeparator: \.isWhitespace).last
        self.init(
            path: path,
            device: DeviceNumber(UInt64(status.st_dev)),
            inode: UInt64(status.st_ino),
            mount: mount.flatMap { Int($0) },
            blockDevice: status.st_mode & S_IFMT == S_IFBLK ? DeviceNumber(UInt64(status.st_rdev)) : nil
        )
    }

    /// O_PATH: the file is only pointed at, so a pipe does not block and a disk is not touched.
    private static func find(_ path: String) -> Int32 {
        unsafe flashlayer_open(path, flashlayer_o_path | O_CLOEXEC, 0)
    }
}
