// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model
import Resolution

/// How much room an export may take, from where the source has data.
struct SpaceNeed: Sendable {
    let form: ExportForm
    /// Bytes of units that hold data, and their number.
    let dataBytes: UInt64
    let bytes: UInt64

    /// - Parameters:
    ///   - extents: of the source, in order; zeros that are stored count as data.
    ///   - size: of the raw content, in bytes.
    init(_ form: ExportForm, extents: [Extent], size: UInt64) {
        self.form = form
        let unit = form.allocationUnit
        var units: UInt64 = 0
        // The end of the last unit that was counted.
        var counted: UInt64 = 0
        for extent in extents where extent.kind == .data && extent.length > 0 {
            let start = max(counted, extent.offset.roundedDown(to: unit))
            let end = extent.end.roundedUp(to: unit)
            guard end > start else { continue }
            units += (end - start) / unit
            counted = end
        }
        dataBytes = units * unit
        // Tables: at most 4 KiB for a unit that stands alone, and no more than those of the whole disk.
        let tables = min(units * 4096, size / 4096) + form.fixedPart
        if form.isCompressed {
            // How well it compresses is not known before: a quarter is what hardly any system falls below.
            let packed = dataBytes / 4 + tables
            bytes = form.format == .ova || form.format == .vagrant ? 2 * packed : packed
        } else {
            bytes = dataBytes + tables
        }
    }

    /// - Parameter folder: where the files go.
    /// - Throws: `no-space`, with figures.
    func confirm(in folder: String) throws { try Self.confirm([self], in: folder) }

    /// The same for several that are made at the same time.
    static func confirm(_ needs: [SpaceNeed], in folder: String) throws {
        let bytes = needs.reduce(0) { $0 + $1.bytes }
        guard let free = Cache.freeSpace(at: folder), free < bytes else { return }
        // What is compressed is a guess, and may turn out smaller or larger.
        let upTo = needs.contains(where: \.form.isCompressed) ? "about" : "up to"
        let names = needs.map(\.form.format.rawValue).joined(separator: ", ")
        throw FlashlayerError(
            .noSpace,
            "\(names) \(needs.count == 1 ? "takes" : "take") \(upTo) \(ByteSize.describe(bytes)), "
                + "and the file system of \(folder) has \(ByteSize.describe(free)) left",
            advice:
                "free space there, or name another place; zeros that an image stores count, until they are made holes: "
                + "fallocate --dig-holes IMAGE"
        )
    }
}

extension ExportForm {
    /// Bytes of headers, first tables and descriptions that even an empty disk takes: measured with qemu-img 7.2, rounded up.
    fileprivate var fixedPart: UInt64 {
        switch format {
        case .raw, .vdi, .vpc: 64 * ByteSize.kibibyte
        case .vmdk, .ova: 128 * ByteSize.kibibyte
        case .qcow2, .vagrant: 384 * ByteSize.kibibyte
        case .vhdx: 1536 * ByteSize.kibibyte
        }
    }

    /// What data takes at once, in bytes; of formats whose files have holes within what is taken, a page.
    fileprivate var allocationUnit: UInt64 {
        switch format {
        case .raw, .vhdx, .vpc: 4 * ByteSize.kibibyte
        case .vdi: subformat == .fixed ? 4 * ByteSize.kibibyte : ByteSize.mebibyte
        case .qcow2, .vmdk, .ova, .vagrant: 64 * ByteSize.kibibyte
        }
    }
}
