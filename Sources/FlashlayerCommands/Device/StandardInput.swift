// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Threads

/// Standard input as an image: `flashlayer write - /dev/sdb`.
enum StandardInput {
    /// What stands for it on the command line.
    static let name = "-"

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
        return "/proc/\(getpid())/fd/\(isSocket ? try pumpedPipe() : 0)"
    }

    /// A socket, such as sshd gives, cannot be opened by a path: its bytes go through a pipe, which can.
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
            defer { close(output) }
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(0, $0.baseAddress, $0.count) }
                if count < 0 && errno == EINTR { continue }
                guard count > 0, write(buffer[..<count], to: output) else { return }
            }
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
