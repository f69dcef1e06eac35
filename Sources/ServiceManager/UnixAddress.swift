// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Glibc

/// The address of a socket of this machine. See unix(7).
package struct UnixAddress: Sendable {
    private let address: sockaddr_un
    private let length: socklen_t

    /// - Parameter path: absolute; or `@name`, in the abstract namespace.
    /// - Returns: nil for anything else, and for what is longer than the kernel's 107 bytes.
    package init?(_ path: String) {
        guard path.count > 1, path.hasPrefix("/") || path.hasPrefix("@"), !path.utf8.contains(0) else { return nil }
        var bytes = Array(path.utf8)
        if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count < capacity else { return nil }
        // SAFETY: there are fewer bytes than the field has room for, and the rest of it is zero.
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        self.address = address
        // A name in the abstract namespace is all of its bytes; a path ends with a zero.
        let used = bytes.count + (path.hasPrefix("/") ? 1 : 0)
        length = socklen_t(MemoryLayout<sa_family_t>.size + used)
    }

    /// Calls `body` with what bind(2), connect(2) and sendto(2) take.
    package func withPointer<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) throws -> Result
    ) rethrows -> Result {
        try unsafe withUnsafePointer(to: address) { pointer in
            // SAFETY: every address begins with the fields of `sockaddr`, and is read for `length` bytes at most.
            try unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe try body($0, length) }
        }
    }
}
