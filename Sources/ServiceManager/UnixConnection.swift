// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model
import Synchronization

/// One end of a stream socket on which either side says lines.
///
/// One thread reads; any may write, and hang up.
package final class UnixConnection: Sendable {
    /// Who is at the other end, by the kernel's word. See `SO_PEERCRED` in unix(7).
    package struct Peer: Sendable, Equatable {
        package let processID: Int32
        package let userID: UInt32
        package let groupID: UInt32
    }

    /// Bytes of a line: what is longer is no request of ours.
    private static let longestLine = 64 << 10

    private let descriptor: Int32
    private let unread = Mutex<[UInt8]>([])
    private let writing = Mutex<Void>(())

    /// - Parameter descriptor: a connected socket, closed together with this object.
    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// - Throws: `not-found` when nobody listens there; `not-permitted`.
    package convenience init(to path: String) throws {
        guard let address = UnixAddress(path) else {
            throw FlashlayerError(.usage, "\(path) cannot be a socket")
        }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw FlashlayerError.system("open a socket", .current, code: .unavailable) }
        guard unsafe address.withPointer({ unsafe connect(descriptor, $0, $1) }) == 0 else {
            let error = Errno.current
            close(descriptor)
            throw FlashlayerError.system("connect to \(path)", error, code: .unavailable)
        }
        self.init(descriptor: descriptor)
    }

    deinit {
        close(descriptor)
    }

    /// nil when the kernel does not say, as for a peer that is gone.
    package var peer: Peer? {
        var credentials = flashlayer_peer()
        guard unsafe flashlayer_peer_of(descriptor, &credentials) == 0 else { return nil }
        return Peer(processID: credentials.process, userID: credentials.user, groupID: credentials.group)
    }

    /// Blocks until the other end has said a line.
    ///
    /// - Returns: nil when it has hung up, or says more than a line may have.
    package func line() -> String? {
        while true {
            let found = unread.withLock { bytes -> [UInt8]? in
                guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
                defer { bytes.removeSubrange(...end) }
                return Array(bytes[..<end])
            }
            if let found { return String(decoding: found, as: UTF8.self) }
            guard unread.withLock({ $0.count }) < Self.longestLine else { return nil }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            unread.withLock { $0 += buffer.prefix(count) }
        }
    }

    /// - Returns: false when nobody is there to read it.
    @discardableResult
    package func say(_ line: String) -> Bool {
        write(Array((line + "\n").utf8))
    }

    func write(_ bytes: [UInt8]) -> Bool {
        writing.withLock { _ in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = unsafe rest.withUnsafeBytes { buffer in
                    // SAFETY: the buffer lives for the call, which reads no more than its size.
                    unsafe send(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL))
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return false }
                rest = rest.dropFirst(count)
            }
            return true
        }
    }

    /// Ends it for both sides; whoever reads here is told that it is over.
    package func hangUp() {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
