// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// One medium in one socket, as udev and sysfs told of it when it was first seen.
package struct Medium: Hashable, Sendable {
    /// Its folder in sysfs, links resolved. A device keeps it for as long as it is there, and its events are known by it
    /// alone: the other properties of a `remove` may be wrong or missing.
    package let sysfsPath: String
    /// The kernel's number of the medium, which rises with each and is never given twice; nil: unknown, and then nothing
    /// tells a new medium from an old one.
    package let diskSequence: UInt64?
    /// nil: not on USB.
    package let port: UsbPortPath?
    /// The device node.
    package let path: String
    /// Bytes; 0: a drive without a medium.
    package let size: UInt64
    package let serial: String?
    /// `0781:5581`.
    package let vendorProduct: String?
    /// Mbit/s.
    package let linkSpeed: Int?

    package init(
        sysfsPath: String,
        diskSequence: UInt64?,
        port: UsbPortPath?,
        path: String,
        size: UInt64,
        serial: String?,
        vendorProduct: String?,
        linkSpeed: Int? = nil
    ) {
        self.sysfsPath = sysfsPath
        self.diskSequence = diskSequence
        self.port = port
        self.path = path
        self.size = size
        self.serial = serial
        self.vendorProduct = vendorProduct
        self.linkSpeed = linkSpeed
    }

    /// nil when it does not say enough of itself to be known again.
    package var identity: MediumIdentity? {
        guard let serial, serial.contains(where: { $0 != "0" && $0 != " " }), let vendorProduct, size > 0 else {
            return nil
        }
        return MediumIdentity(serial: serial, vendorProduct: vendorProduct, size: size)
    }

    /// Whether what is said of one medium at two times cannot both be true. What was unknown at first is no lie.
    func contradicts(_ later: Medium) -> Bool {
        later.size != size || later.port != port || (serial != nil && later.serial != nil && later.serial != serial)
            || (vendorProduct != nil && later.vendorProduct != nil && later.vendorProduct != vendorProduct)
    }
}

/// By what a stick is known again on another day in another socket.
///
/// Some makers give all their sticks one serial; two that were there at the same time show it, and from then on that
/// identity says nothing.
package struct MediumIdentity: Hashable, Sendable, Codable {
    package let serial: String
    package let vendorProduct: String
    /// Bytes.
    package let size: UInt64

    package init(serial: String, vendorProduct: String, size: UInt64) {
        self.serial = serial
        self.vendorProduct = vendorProduct
        self.size = size
    }
}
