// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CUdev
import Model

/// Who knows which block devices there are.
package protocol DeviceCatalog: Sendable {
    func entries() throws -> [CatalogEntry]
}

/// A block device as a catalog names it.
package struct CatalogEntry: Sendable {
    /// Below /sys/devices, links resolved.
    package let sysfsPath: String
    package let properties: [String: String]
    package let links: [String]

    package init(sysfsPath: String, properties: [String: String] = [:], links: [String] = []) {
        self.sysfsPath = sysfsPath
        self.properties = properties
        self.links = links
    }
}

/// libudev: sysfs, together with what udevd found out where one runs. See udev_enumerate_new(3).
package struct UdevCatalog: DeviceCatalog {
    package init() {}

    package func entries() throws -> [CatalogEntry] {
        // SAFETY: every handle is checked before use and released once; strings are copied before their owner goes.
        guard let udev = unsafe udev_new() else { throw Self.failed }
        defer { unsafe udev_unref(udev) }
        guard let enumeration = unsafe udev_enumerate_new(udev) else { throw Self.failed }
        defer { unsafe udev_enumerate_unref(enumeration) }
        guard unsafe udev_enumerate_add_match_subsystem(enumeration, "block") >= 0,
            unsafe udev_enumerate_scan_devices(enumeration) >= 0
        else { throw Self.failed }
        return unsafe Self.list(udev_enumerate_get_list_entry(enumeration)).compactMap { path, _ in
            guard let device = unsafe udev_device_new_from_syspath(udev, path) else { return nil }
            defer { unsafe udev_device_unref(device) }
            let properties = unsafe Self.list(udev_device_get_properties_list_entry(device))
            let links = unsafe Self.list(udev_device_get_devlinks_list_entry(device))
            return CatalogEntry(
                sysfsPath: path,
                properties: Dictionary(properties, uniquingKeysWith: { first, _ in first }),
                links: links.map(\.0)
            )
        }
    }

    private static func list(_ first: OpaquePointer?) -> [(String, String)] {
        var result: [(String, String)] = []
        var entry = unsafe first
        while let current = unsafe entry {
            if let name = unsafe udev_list_entry_get_name(current) {
                let value = unsafe udev_list_entry_get_value(current).map { unsafe String(cString: $0) }
                result.append((unsafe String(cString: name), value ?? ""))
            }
            unsafe entry = udev_list_entry_get_next(current)
        }
        return result
    }

    private static var failed: FlashlayerError {
        FlashlayerError(.unavailable, "libudev cannot list the block devices", advice: "is sysfs mounted at /sys?")
    }
}

/// sysfs alone: a tree laid out by a test.
package struct SysfsCatalog: DeviceCatalog {
    private let tree: FileTree

    package init(_ tree: FileTree) {
        self.tree = tree
    }

    package func entries() -> [CatalogEntry] {
        tree.names(in: "/sys/class/block").map { CatalogEntry(sysfsPath: tree.resolved("/sys/class/block/\($0)")) }
    }
}
