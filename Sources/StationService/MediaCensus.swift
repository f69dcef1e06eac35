// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
package import Station

/// The media on USB as sysfs has them at one moment. No device is opened for it.
package struct MediaCensus: Sendable {
    package let media: [Medium]
    /// The highest number that the kernel has given to a medium, on USB or not; 0 where it gives none.
    package let highestSequence: UInt64

    package init(media: [Medium], highestSequence: UInt64) {
        self.media = media
        self.highestSequence = highestSequence
    }

    /// Looks at this machine. Blocks for as long as sysfs and procfs take.
    ///
    /// - Throws: `unavailable` when the devices cannot be listed.
    package static func take() throws -> MediaCensus {
        let tree = FileTree()
        let disks = try Inventory(tree: tree, catalog: UdevCatalog(), observer: UnreadContents()).disks(read: false)
        return MediaCensus(
            media: disks.filter { $0.transport == .usb }.map { Medium($0, tree) },
            highestSequence: disks.compactMap(\.diskseq).max() ?? 0
        )
    }
}

extension Medium {
    /// As the device gate has it.
    init(_ disk: Disk, _ tree: FileTree = FileTree()) {
        let path = disk.subject.node.sysfsPath
        self.init(
            sysfsPath: path,
            diskSequence: disk.diskseq,
            port: UsbPortPath(ofBlockDevice: path, in: tree),
            path: disk.path,
            size: disk.size,
            serial: disk.serial,
            vendorProduct: Self.vendorProduct(path, tree),
            linkSpeed: disk.linkSpeed
        )
    }

    /// Of the nearest USB device on the way to a block device, `0781:5581`.
    private static func vendorProduct(_ path: String, _ tree: FileTree) -> String? {
        var parts = path.split(separator: "/")
        while !parts.isEmpty {
            parts.removeLast()
            let folder = "/" + parts.joined(separator: "/")
            if let vendor = tree.text(folder + "/idVendor"), let product = tree.text(folder + "/idProduct") {
                return "\(vendor):\(product)"
            }
        }
        return nil
    }
}
