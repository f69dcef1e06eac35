// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Synchronization
import Threads

/// Standard input as an image: `flashlayer write - /dev/sdb`.
enum StandardInput {
    /// What stands for it on the command line.
    static let name = "-"

    private static let failure = Mutex<FlashlayerError?>(nil)

    /// Why it broke off before its end; nil while it did not. Whoever reads the pipe cannot tell: it waits there for ever.
    static var brokenOff: FlashlayerError? { failure.withLock { $0 } }

    /// Does what reads standard input, and cancels it when that breaks off.
    ///
    /// - Throws: why it broke off; what `body` throws.
    static func whileWhole<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let work = Task { try await body() }
        let watch = Task {
            while brokenOff == nil { try await Task.sleep(for: .milliseconds(200)) }
            work.cancel()
        }
        defer { watch.cancel() }
        return try await withTaskCancellationHandler {
            do {
                return try await work.value
            } catch {
                throw brokenOff ?? error
            }
        } onCancel: {
            work.cancel()
        }
    }

    /// A path by which the engine opens what this process has as its standard input.
    ///
    /// - Throws: `usage` when that is a terminal.
    static func location() throws -> String {
        guard isatty(0) == 0 else {
            throw FlashlayerError(
                .usage,
                "'-' reads the image from standard input, which is a terminal",
                advice: "send it there: curl URL | flashlayer write - /dev/sdX"
            )
        }
        var status = stat()
        guard unsafe fstat(0, &status) == 0 else {
            throw FlashlayerError.system("read standard input", .current, code: .notFound)
        }
        let isSocket = status.st_mode & S_IFMT == S_IFSOCK
        // Whoever opens it by a path begins at its start: what somebody has read of it already is not the image's.
        let isBegun = status.st_mode & S_IFMT == S_IFREG && lseek(0, 0, SEEK_CUR) != 0
        return "/proc/\(getpid())/fd/\(isSocket || isBegun ? try pumpedPipe() : 0)"
    }

    /// A socket, such as sshd gives, cannot be opened by a path, nor a file where it stands: their bytes go through a
    /// pipe, which can.
    ///
    /// - Returns: the read end, which stays open as long as this process.
    private static func pumpedPipe() throws -> Int32 {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else {
            throw FlashlayerError.system("make a pipe", .current, code: .fault)
        }
        // A child that inherited the write end would keep the image from ever ending.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let output = ends[1]
        _ = try OwnThread(named: "pump-stdin") {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(0, $0.baseAddress, $0.count) }
                if count < 0 && errno == EINTR { continue }
                guard count >= 0 else {
                    // The pipe stays open: its end would be taken for that of the image.
                    let error = FlashlayerError.system("read standard input", .current, code: .badImage)
                    return failure.withLock { $0 = error }
                }
                guard count > 0, write(buffer[..<count], to: output) else { break }
            }
            close(output)
        }
        return ends[0]
    }

    private static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
