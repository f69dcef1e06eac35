// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Model

/// One request to a device, as the kernel is asked for it.
struct DeviceRequest: Sendable {
    enum Operation: Sendable {
        case read, write
        /// fsync(2).
        case flush
        /// fallocate(2) with FALLOC_FL_PUNCH_HOLE: zeroes or fails.
        case punchHole
    }

    let operation: Operation
    let descriptor: Int32
    /// Kept alive by whoever asks until the completion came.
    let buffer: AlignedBuffer?
    /// Where the bytes are that are written, if not in the buffer.
    let place: FilePlace?
    /// Where in the buffer the bytes are.
    let start: Int
    /// Bytes.
    let count: UInt64
    /// On the device, in bytes.
    let offset: UInt64
    let tag: UInt64
}

/// A finished request: `result` is a byte count, or a negated `errno`.
struct DeviceCompletion: Sendable {
    let tag: UInt64
    let result: Int
    /// The bytes could not be had from their place in a file: the device has nothing to do with it.
    var isSourceFault = false
}

/// How requests reach the kernel. A backend belongs to one thread.
protocol RequestBackend: AnyObject {
    /// Whether it writes bytes from a place in a file; it is given no such place otherwise.
    var takesPlaces: Bool { get }

    /// - Returns: false when it takes no more until something was submitted.
    func prepare(_ request: DeviceRequest) -> Bool

    /// Hands what was prepared to the kernel.
    ///
    /// - Throws: `fault` when the kernel takes no request.
    func submit() throws

    /// Waits for one completion.
    ///
    /// - Returns: nil when none came in time.
    func wait(milliseconds: Int) throws -> DeviceCompletion?
}

extension RequestBackend {
    var takesPlaces: Bool { false }
}
