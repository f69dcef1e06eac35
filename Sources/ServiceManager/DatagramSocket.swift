// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc

/// An unconnected datagram socket, and the address that it sends to. See unix(7).
final class DatagramSocket: Sendable {
    private let descriptor: Int32
    private let address: UnixAddress

    /// - Parameter path: of a socket; `@name` is one in the abstract namespace.
    /// - Returns: nil for a path that is no address, or when the system gives no socket.
    init?(to path: String) {
        guard let address = UnixAddress(path) else { return nil }
        self.address = address
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        if descriptor < 0 { return nil }
    }

    deinit {
        close(descriptor)
    }

    /// Whether it was taken. Never blocks: a manager or a journal that does not read holds nobody up.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        unsafe address.withPointer { address, length in
            unsafe sendto(
                descriptor,
                bytes,
                bytes.count,
                Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT),
                address,
                length
            ) == bytes.count
        }
    }
}
