// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Model
import Programs

/// A block device that fails as real ones do: a file behind the nbdkit plugin `faulty-disk.c`, behind FUSE, behind a
/// loop device without a page cache. The file is what the medium really holds, and the plugin counts what it was asked
/// for: two witnesses that share nothing with the program under test.
///
///     let device = try await FaultyDevice(size: 64 << 20, faults: [.flip(at: 5 << 20, on: .read)])
///     defer { device.close() }
///
/// What cannot be had this way: short completions, which the kernel makes whole, and `ENODEV` and `ENODATA`, which NBD
/// does not carry.
package final class FaultyDevice: Sendable {
    /// What goes wrong, for which requests, and when.
    package struct Fault: Sendable {
        package enum Operation: String, Sendable {
            /// Zeros, too.
            case write, read, flush
        }

        fileprivate enum Kind: String {
            case error, drop, flip, hang, die
        }

        fileprivate let kind: Kind
        fileprivate let operation: Operation
        /// Bytes of the device: the requests that touch them.
        fileprivate let range: Range<UInt64>
        /// Bytes that were written to the device before it begins.
        fileprivate var start: UInt64 = 0
        /// nil: always.
        fileprivate var times: Int?
        fileprivate var errno: Int32 = 0

        private static let everywhere = UInt64(0)..<UInt64(Int64.max)

        private init(_ kind: Kind, _ operation: Operation, _ range: Range<UInt64> = everywhere) {
            self.kind = kind
            self.operation = operation
            self.range = range
        }

        /// Requests that touch the sector at an offset fail.
        package static func error(_ errno: Int32 = EIO, at offset: UInt64, on operation: Operation) -> Self {
            error(errno, in: offset..<(offset + 1), on: operation)
        }

        package static func error(_ errno: Int32 = EIO, in range: Range<UInt64>, on operation: Operation) -> Self {
            var fault = Self(.error, operation, range)
            fault.errno = errno
            return fault
        }

        package static func error(_ errno: Int32 = EIO, on operation: Operation) -> Self {
            error(errno, in: everywhere, on: operation)
        }

        /// One bit of a byte is stored, or read, the wrong way round.
        package static func flip(at offset: UInt64, on operation: Operation) -> Self {
            Self(.flip, operation, offset..<(offset + 1))
        }

        /// Writes there are said to be done and are not.
        package static func drop(_ range: Range<UInt64>) -> Self {
            Self(.drop, .write, range)
        }

        /// From the first such request on the device answers no more, to anything.
        package static func hang(on operation: Operation) -> Self {
            Self(.hang, operation)
        }

        package static func hang(at offset: UInt64, on operation: Operation) -> Self {
            Self(.hang, operation, offset..<(offset + 1))
        }

        /// From the first such request on there is no device any more.
        package static func vanish(on operation: Operation) -> Self {
            Self(.die, operation)
        }

        /// The same fault, so many times and then no more.
        package func times(_ count: Int) -> Self {
            var fault = self
            fault.times = count
            return fault
        }

        /// The same fault, once so many bytes were written to the device.
        package func after(_ bytes: UInt64) -> Self {
            var fault = self
            fault.start = bytes
            return fault
        }

        fileprivate var argument: String {
            let fields = ["\(range.lowerBound)", "\(range.upperBound)", "\(start)", "\(times ?? 0)", "\(errno)"]
            return "fault=" + ([kind.rawValue, operation.rawValue] + fields).joined(separator: ":")
        }
    }

    /// What becomes of writes beyond the real capacity of a device that lies about it.
    package enum Beyond: String, Sendable {
        /// They land at the start again.
        case wrap
        /// They are lost, and zeros are read there.
        case lose
    }

    /// What the device was asked for so far. Bytes count when they arrive, whatever becomes of them.
    package struct Counters: Sendable {
        package let bytesWritten, bytesRead, bytesZeroed, flushes, writes, reads, faults: UInt64
    }

    package let loop: LoopDevice
    /// The file that holds what the medium holds.
    package let medium: String
    package var path: String { loop.path }

    private let folder: TemporaryFolder
    private let closed = Once()

    /// Why a test that needs one is skipped.
    package static let requirement = "needs root, /dev/fuse, nbdkit with nbdkit-plugin-dev, nbdfuse and gcc"

    /// Whether they can be made here: give it to `.enabled(if:)`.
    package static let isAvailable =
        LoopDevice.isAvailable
        && ["nbdfuse", "nbdkit", "cc"].allSatisfy { (try? Program($0, debianPackage: $0)) != nil }
        && ["/dev/fuse", "/usr/include/nbdkit-plugin.h"].allSatisfy { FileManager.default.fileExists(atPath: $0) }

    /// - Parameters:
    ///   - size: bytes that the device says it has.
    ///   - capacity: bytes that it really has; nil: as many.
    ///   - sectorSize: bytes of its logical sector.
    ///   - writeRate: bytes a second; nil: as fast as it goes.
    ///   - writeLatency: of each request, in milliseconds.
    ///   - hasZeroOffload: by default zeros have to be written, as on most USB sticks.
    ///   - content: what is on it before; the first `capacity` bytes are taken.
    package init(
        size: UInt64,
        capacity: UInt64? = nil,
        beyond: Beyond = .wrap,
        sectorSize: Int = 512,
        faults: [Fault] = [],
        writeRate: UInt64? = nil,
        readRate: UInt64? = nil,
        writeLatency: Int = 0,
        readLatency: Int = 0,
        hasZeroOffload: Bool = false,
        content: [UInt8] = []
    ) async throws {
        let plugin = try await Self.plugin.value
        let folder = try TemporaryFolder()
        let capacity = capacity ?? size
        medium = folder.file("medium")
        let start = Data(content.prefix(Int(capacity)))
        try start.write(to: URL(filePath: medium))
        guard unsafe truncate(medium, off_t(capacity)) == 0 else {
            throw FlashlayerError.system("size \(medium)", .current, code: .cannotCreate)
        }
        let disk = try folder.write("", to: "disk")
        let arguments =
            [
                "--pidfile", folder.file("pid"), disk, "--command", "nbdkit", "-s", plugin, "medium=\(medium)",
                "size=\(size)", "beyond=\(beyond.rawValue)", "counters=\(folder.file("counters"))",
                "owner=\(getpid())", "write-rate=\(writeRate ?? 0)", "read-rate=\(readRate ?? 0)",
                "write-latency=\(writeLatency)", "read-latency=\(readLatency)", "zero-offload=\(hasZeroOffload)",
            ] + faults.map(\.argument)
        self.folder = folder
        let nbdfuse = try Program("nbdfuse", debianPackage: "libnbd-bin")
        let server = Task { try await nbdfuse.outcome(arguments) }
        do {
            try await Self.wait(for: disk, size: size)
            loop = try LoopDevice(attaching: disk, sectorSize: sectorSize, directIO: true)
        } catch {
            // Cancelling ends all of its process group.
            server.cancel()
            _ = unsafe umount2(disk, Int32(MNT_DETACH))
            throw error
        }
    }

    deinit {
        close()
    }

    /// Takes it all apart. Whoever still waits for the device, in the kernel perhaps, gets an error at once.
    package func close() {
        guard closed.first() else { return }
        let fuse = (try? String(contentsOfFile: folder.file("pid"), encoding: .utf8)).flatMap { line in
            Int32(line.filter(\.isNumber))
        }
        for process in [Int32(truncatingIfNeeded: counter(0)), fuse ?? 0] where process > 1 { kill(process, SIGKILL) }
        loop.close()
        _ = unsafe umount2(folder.file("disk"), Int32(MNT_DETACH))
    }

    package var counters: Counters {
        Counters(
            bytesWritten: counter(1),
            bytesRead: counter(2),
            bytesZeroed: counter(3),
            flushes: counter(4),
            writes: counter(5),
            reads: counter(6),
            faults: counter(7)
        )
    }

    /// One of the 64-bit numbers that the plugin keeps in a file.
    private func counter(_ index: Int) -> UInt64 {
        let descriptor = unsafe open(folder.file("counters"), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { Glibc.close(descriptor) }
        var value: UInt64 = 0
        _ = unsafe pread(descriptor, &value, 8, off_t(index * 8))
        return value
    }

    private static func wait(for disk: String, size: UInt64) async throws {
        for _ in 0..<60_000 {
            var status = stat()
            if unsafe stat(disk, &status) == 0, status.st_size == off_t(size) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw FlashlayerError(.unavailable, "nbdfuse did not come up", advice: "is /dev/fuse there?")
    }

    /// Compiled once for all tests, and again only when its text has changed.
    private static let plugin = Task {
        let source = "\(Checkout.root)/Tests/TestSupport/faulty-disk.c"
        let plugin = "\(Checkout.root)/.build/faulty-disk.so"
        // Test programs that run side by side would compile into the same file.
        try await Program("flock", debianPackage: "util-linux").run([
            "\(plugin).lock", "sh", "-c",
            #"[ "$2" -nt "$1" ] || { cc -O2 -Wall -Werror -fPIC -shared -o "$2.new" "$1" && mv "$2.new" "$2"; }"#,
            "sh", source, plugin,
        ])
        return plugin
    }
}
