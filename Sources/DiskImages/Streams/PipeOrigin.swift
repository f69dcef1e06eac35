// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model
import Synchronization

/// A pipe, such as standard input: it gives its bytes once.
final class PipeOrigin: ByteOrigin {
    let name: String
    var files: [String] { [] }
    var size: UInt64? { nil }
    var isRepeatable: Bool { false }
    private let bytes: PipeBytes
    private let isBegun = Atomic(false)

    /// - Parameter path: a named pipe, or the pipe of a process: `/proc/PID/fd/N`.
    /// - Throws: `not-found`, `not-permitted`, `bad-image`.
    init(_ path: String) throws {
        name = path.hasPrefix("/proc/") && path.hasSuffix("/fd/0") ? "standard input" : path
        // Without O_NONBLOCK a named pipe would wait here for somebody who writes into it.
        let descriptor = unsafe flashlayer_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
        guard descriptor >= 0 else { throw FlashlayerError.system("open \(name)", .current, code: .badImage) }
        do {
            bytes = try PipeBytes(descriptor, name: name)
        } catch {
            close(descriptor)
            throw error
        }
    }

    func begin() throws -> any ByteStream {
        guard !isBegun.exchange(true, ordering: .acquiringAndReleasing) else {
            throw FlashlayerError(.fault, "\(name) was to be read a second time, which a pipe does not do")
        }
        return bytes
    }

    func confirmUnchanged() {}

    /// Whether there is a pipe at the path.
    static func isPipe(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }
}

/// The reading end of a pipe. It waits in poll(2), so that it can be told to stop.
final class PipeBytes: ByteStream, @unchecked Sendable {
    // SAFETY: `position` is of the one thread that reads.
    private(set) var position: UInt64 = 0
    private let descriptor: Int32
    private let name: String
    /// eventfd(2): readable for good once it was cancelled.
    private let cancellation: Int32

    /// - Parameter descriptor: closed when the last reference goes, unless this throws.
    init(_ descriptor: Int32, name: String) throws {
        self.descriptor = descriptor
        self.name = name
        cancellation = flashlayer_eventfd()
        guard cancellation >= 0 else { throw FlashlayerError.system("make an eventfd", .current, code: .fault) }
    }

    deinit {
        close(cancellation)
        close(descriptor)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            try wait(milliseconds: -1)
            let count = unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
            guard count >= 0 else {
                throw FlashlayerError.system("read \(name)", .current, code: .badImage, offset: position)
            }
            position += UInt64(count)
            return count
        }
    }

    /// Blocks until there is something to read, the end included.
    ///
    /// - Parameter milliseconds: -1 for any time.
    /// - Returns: false when the time is over.
    @discardableResult
    func wait(milliseconds: Int32) throws -> Bool {
        while true {
            var polled = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: cancellation, events: Int16(POLLIN), revents: 0),
            ]
            let count = unsafe poll(&polled, 2, milliseconds)
            if count < 0 && errno == EINTR { continue }
            if polled[1].revents != 0 { throw FlashlayerError(.interrupted, "interrupted") }
            guard count >= 0 else { throw FlashlayerError.system("wait for \(name)", .current, code: .badImage) }
            return count > 0
        }
    }

    func cancel() {
        var one: UInt64 = 1
        _ = unsafe write(cancellation, &one, 8)
    }
}
