// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model

/// Disk images that QEMU is given.
enum GuestDisk {
    /// What QEMU calls the format. It is told by content and always said to QEMU: a raw disk on which a guest wrote the
    /// header of another format would otherwise be taken for it.
    ///
    /// - Throws: `unavailable` for compressed files.
    static func format(of path: String) throws -> String {
        let format = try ImageFormat.probe(path)
        switch format {
        case .qcow2, .vmdk, .vdi, .vhdx, .vpc: return format.rawValue
        case .raw, .luks: return "raw"
        case .gzip, .xz, .zstd, .bzip2:
            throw FlashlayerError(
                .unavailable,
                "\(path) is compressed (\(format.rawValue)): no machine can start from it as it is",
                advice: format.unpackAdvice(path)
            )
        }
    }
}
