// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model
import Synchronization
import Threads

/// Serves requests of this machine's users at a socket: a thread for each connection, since there are few of them and a
/// request may wait for a device.
package final class UnixServer: Sendable {
    /// More than all operators of one machine need; a program that opens one after the other takes no more than this.
    private static let mostConnections = 32

    private let listener: Int32
    private let path: String?
    private let handler: @Sendable (UnixConnection) -> Void
    private let connections = Mutex<[ObjectIdentifier: UnixConnection]>([:])
    private let isStopped = Atomic<Bool>(false)
    /// Becomes readable when it is time to stop.
    private let wake: Int32
    private let ended = Gate()

    /// Listens at a path.
    ///
    /// - Parameters:
    ///   - mode: of the socket: who may connect.
    ///   - handler: is called on a thread of its own for each connection, which ends when it returns.
    /// - Throws: `busy` when somebody listens there already; `cannot-create`.
    package convenience init(
        path: String,
        mode: UInt32,
        handler: @escaping @Sendable (UnixConnection) -> Void
    ) throws {
        try self.init(listener: Self.listen(at: path, mode: mode), path: path, handler: handler)
    }

    /// Serves a socket that the service manager has opened, and keeps.
    package convenience init(listener: Int32, handler: @escaping @Sendable (UnixConnection) -> Void) throws {
        try self.init(listener: listener, path: nil, handler: handler)
    }

    private init(listener: Int32, path: String?, handler: @escaping @Sendable (UnixConnection) -> Void) throws {
        self.listener = listener
        self.path = path
        self.handler = handler
        wake = flashlayer_eventfd()
        guard wake >= 0 else { throw FlashlayerError.system("make an event descriptor", .current, code: .fault) }
        _ = try OwnThread(named: "control-socket") { [self] in
            acceptAll()
            ended.open()
        }
    }

    /// Ends every connection, and waits until no new one can begin.
    package func stop() {
        guard !isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        // Not by shutdown(2) of the listener: it may be the manager's, and has to go on for whoever serves it next.
        eventfd_write(wake, 1)
        ended.wait()
        close(listener)
        close(wake)
        if let path { unsafe unlink(path) }
        for connection in connections.withLock({ Array($0.values) }) { connection.hangUp() }
    }

    private func acceptAll() {
        while !isStopped.load(ordering: .acquiring) {
            var entries = [
                pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            ]
            guard unsafe poll(&entries, nfds_t(entries.count), -1) > 0, entries[0].revents != 0 else { continue }
            let descriptor = flashlayer_accept(listener)
            if descriptor < 0 {
                // Too many files are open, or a client gave up: the next one may do better. A moment's rest keeps a lasting
                // failure from taking a processor.
                if !isStopped.load(ordering: .acquiring), errno != EINTR, errno != ECONNABORTED { usleep(50_000) }
                continue
            }
            serve(UnixConnection(descriptor: descriptor))
        }
    }

    private func serve(_ connection: UnixConnection) {
        let id = ObjectIdentifier(connection)
        let isTaken = connections.withLock { open in
            guard open.count < Self.mostConnections else { return false }
            open[id] = connection
            return true
        }
        guard isTaken else { return connection.hangUp() }
        let began = try? OwnThread(named: "control-client") { [self] in
            handler(connection)
            connection.hangUp()
            _ = connections.withLock { $0.removeValue(forKey: id) }
        }
        if began == nil {
            connection.hangUp()
            _ = connections.withLock { $0.removeValue(forKey: id) }
        }
    }

    private static func listen(at path: String, mode: UInt32) throws -> Int32 {
        guard let address = UnixAddress(path) else {
            throw FlashlayerError(
                .usage,
                "\(path) cannot be a socket",
                advice: "name an absolute path of at most 107 bytes"
            )
        }
        try removeStale(path, address)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw FlashlayerError.system("open a socket", .current, code: .cannotCreate) }
        // Nobody may connect until the socket has its mode.
        let bound = unsafe address.withPointer { address, length in
            guard fchmod(descriptor, 0) == 0 else { return false }
            return unsafe bind(descriptor, address, length) == 0
        }
        guard bound, unsafe chmod(path, mode) == 0, Glibc.listen(descriptor, 16) == 0 else {
            let error = Errno.current
            close(descriptor)
            throw FlashlayerError.system("listen at \(path)", error, code: .cannotCreate)
        }
        return descriptor
    }

    /// A service that was killed leaves its socket, at which nobody answers.
    private static func removeStale(_ path: String, _ address: UnixAddress) throws {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw FlashlayerError(.cannotCreate, "\(path) is there, and is no socket", advice: "move it away")
        }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(probe) }
        let answered = unsafe address.withPointer { unsafe connect(probe, $0, $1) == 0 }
        guard !answered, errno == ECONNREFUSED else {
            throw FlashlayerError(.busy, "another program serves \(path)", advice: "stop it first")
        }
        unsafe unlink(path)
    }
}
