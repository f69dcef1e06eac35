// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// What pages of a file go through on their way to a device: splice(2) moves them into a pipe and out of it, and copies
/// none. One request at a time.
final class SplicePipe {
    /// Bytes: as much as anybody may have without being root. A larger one is no faster.
    private static let size: Int32 = 1 << 20

    let input: Int32
    let output: Int32
    /// Of the request whose bytes are under way.
    private(set) var tag: UInt64 = 0
    private(set) var device: Int32 = -1
    private var offset: UInt64 = 0
    /// Bytes that were asked of the file; then those that it gave, or a negated `errno`.
    var filled = 0
    /// Bytes that have reached the device.
    var drained = 0

    /// - Returns: nil where no more files may be open.
    init?() {
        var ends: [Int32] = [-1, -1]
        guard unsafe flashlayer_pipe(&ends, Self.size) == 0 else { return nil }
        (output, input) = (ends[0], ends[1])
    }

    func begin(_ request: DeviceRequest) {
        tag = request.tag
        device = request.descriptor
        offset = request.offset
        filled = Int(request.count)
        drained = 0
    }

    /// Where the next bytes go on the device.
    var position: UInt64 { offset + UInt64(drained) }

    var isEmpty: Bool { drained >= filled }

    deinit {
        close(input)
        close(output)
    }
}
