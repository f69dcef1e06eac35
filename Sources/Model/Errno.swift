// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

/// An `errno` value of a failed system call.
package struct Errno: Error, Hashable, Sendable {
    package let value: Int32

    package init(_ value: Int32) {
        self.value = value
    }

    /// The error of the system call that just failed on this thread.
    package static var current: Errno { Errno(errno) }
}

extension Errno: CustomStringConvertible {
    /// The C library's own words, as `strerror(3)` gives them.
    package var description: String {
        // SAFETY: strerror returns a string that lives at least until this thread calls it again; it is copied here.
        unsafe String(cString: strerror(value))
    }
}

extension FlashlayerError {
    /// The error of a system call on something that has a name: the code and the advice follow from `errno`.
    ///
    /// - Parameters:
    ///   - what: the call as a person would say it, such as "open /dev/sdb".
    ///   - code: the code unless the error value itself says more.
    package static func system(_ what: String, _ errno: Errno, code: ErrorCode, offset: UInt64? = nil) -> Self {
        let message = "cannot \(what): \(errno)"
        switch (errno.value, code) {
        case (ENOSPC, .cannotCreate), (EDQUOT, .cannotCreate):
            return .init(.noSpace, message, advice: "free space there, or name another place", offset: offset)
        case (EACCES, _) where code != .ioError, (EPERM, _) where code != .ioError:
            return .init(.notPermitted, message, advice: "run it as root (sudo)", offset: offset)
        case (ENODEV, .ioError), (ENXIO, .ioError):
            return .init(.deviceGone, message, advice: "the device was pulled or switched off", offset: offset)
        case (ENOENT, _) where code != .cannotCreate:
            return .init(.notFound, message, offset: offset)
        default:
            return .init(code, message, offset: offset)
        }
    }
}
