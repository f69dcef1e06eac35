// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model
import Synchronization

/// A real block device over a sparse file, for tests that run as root. It is detached, and a file that it made itself
/// is removed, when it is closed or when the last reference goes. See loop(4).
///
///     let loop = try LoopDevice(size: 64 << 20, fill: 0xAA)
///     defer { loop.close() }
///     try write(image, to: loop.path)
///
/// The `defer` matters: Swift may let the last reference go right after the last use of `path`.
package final class LoopDevice: Sendable {
    /// `/dev/loopN`.
    package let path: String
    package let number: Int32
    /// The file whose bytes are the bytes of the device.
    package let backingFile: String
    private let ownsFile: Bool
    private let detached = Once()

    /// Whether loop devices can be made here: give it to `.enabled(if:)`.
    package static var isAvailable: Bool {
        unsafe geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0
    }

    /// Why a test that needs one is skipped.
    package static let requirement = "needs root and /dev/loop-control"

    /// Makes a sparse file of `size` bytes and attaches it.
    ///
    /// - Parameters:
    ///   - sectorSize: the logical sector, 512 to 4096 bytes.
    ///   - fill: what every byte is before the test begins; nil leaves the file sparse.
    package convenience init(
        size: UInt64,
        sectorSize: Int = 512,
        readOnly: Bool = false,
        fill: UInt8? = nil
    ) throws {
        let file = try Self.makeFile(size: size, fill: fill)
        do {
            try self.init(attaching: file, Options(sectorSize: sectorSize, readOnly: readOnly), ownsFile: true)
        } catch {
            unsafe unlink(file)
            throw error
        }
    }

    /// Attaches a file, or another block device, that the test has made; it is left alone afterwards.
    ///
    /// - Parameter directIO: past the page cache of the file.
    package convenience init(
        attaching file: String,
        sectorSize: Int = 512,
        readOnly: Bool = false,
        directIO: Bool = false
    ) throws {
        let options = Options(sectorSize: sectorSize, readOnly: readOnly, directIO: directIO)
        try self.init(attaching: file, options, ownsFile: false)
    }

    private struct Options {
        let sectorSize: Int
        var readOnly = false
        var directIO = false

        var flags: UInt32 {
            (readOnly ? UInt32(LO_FLAGS_READ_ONLY) : 0) | (directIO ? UInt32(LO_FLAGS_DIRECT_IO) : 0)
        }
    }

    private init(attaching file: String, _ options: Options, ownsFile: Bool) throws {
        number = try Self.attach(file, options)
        path = "/dev/loop\(number)"
        backingFile = file
        self.ownsFile = ownsFile
    }

    deinit {
        close()
    }

    /// Detaches the device. Partition nodes that were added go first: the kernel would leave them behind.
    package func close() {
        guard detached.first() else { return }
        detach()
        Self.remove(number)
        if ownsFile { unsafe unlink(backingFile) }
    }

    /// Detaches and attaches the same file, or another one, at the same node, which makes it a new medium for the kernel.
    package func reattach(_ file: String? = nil, sectorSize: Int = 512) throws {
        detach()
        // While anybody looks at it, such as udev, the kernel puts the detaching off.
        for attempt in 1... {
            do {
                let loop = unsafe open(path, O_RDWR | O_CLOEXEC)
                guard loop >= 0 else { throw Errno.current }
                defer { Glibc.close(loop) }
                return try Self.configure(loop, file: file ?? backingFile, Options(sectorSize: sectorSize))
            } catch let error as Errno where [EBUSY, ENXIO].contains(error.value) && attempt < 60_000 {
                usleep(1000)
            }
        }
    }

    /// Bytes of the device, read past the page cache of the file below it.
    package func read(offset: UInt64 = 0, count: Int) throws -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FlashlayerError.system("open \(path)", .current, code: .ioError) }
        defer { Glibc.close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let result = unsafe bytes.withUnsafeMutableBytes { buffer in
                unsafe pread(descriptor, buffer.baseAddress?.advanced(by: done), count - done, off_t(offset) + done)
            }
            guard result > 0 else { throw FlashlayerError.system("read \(path)", .current, code: .ioError) }
            done += result
        }
        return bytes
    }

    /// Lets the file go; the node stays, as an empty drive.
    package func detach() {
        let loop = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard loop >= 0 else { return }
        defer { Glibc.close(loop) }
        for partition in Int32(1)...16 {
            _ = flashlayer_blkpg(loop, flashlayer_blkpg_delete, partition, 0, 0)
        }
        _ = ioctl(loop, UInt(LOOP_CLR_FD), 0)
    }

    private static func attach(_ file: String, _ options: Options) throws -> Int32 {
        let control = unsafe open("/dev/loop-control", O_RDWR | O_CLOEXEC)
        guard control >= 0 else {
            throw FlashlayerError.system("open /dev/loop-control", .current, code: .unavailable)
        }
        defer { Glibc.close(control) }
        for _ in 0..<64 {
            let number = LoopNumbers.next()
            // Another run may have it.
            guard ioctl(control, UInt(LOOP_CTL_ADD), number) >= 0 else { continue }
            let loop = unsafe open("/dev/loop\(number)", O_RDWR | O_CLOEXEC)
            guard loop >= 0 else {
                remove(number)
                continue
            }
            defer { Glibc.close(loop) }
            do {
                try configure(loop, file: file, options)
                return number
            } catch {
                remove(number)
                // Whoever looks at devices may have the empty node open at this moment.
                guard let error = error as? Errno, error.value == EBUSY else { throw error }
            }
        }
        throw FlashlayerError(.busy, "no loop device could be had for \(file)")
    }

    /// The node goes as well: whoever lists devices need not look at it any more.
    private static func remove(_ number: Int32) {
        let control = unsafe open("/dev/loop-control", O_RDWR | O_CLOEXEC)
        guard control >= 0 else { return }
        defer { Glibc.close(control) }
        // Detaching is put off while anybody has it open, such as a list of devices.
        for _ in 0..<50 {
            guard ioctl(control, UInt(LOOP_CTL_REMOVE), number) < 0, errno == EBUSY else { return }
            usleep(20_000)
        }
    }

    private static func configure(_ loop: Int32, file: String, _ options: Options) throws {
        let backing = unsafe open(file, (options.readOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC)
        guard backing >= 0 else { throw FlashlayerError.system("open \(file)", .current, code: .ioError) }
        defer { Glibc.close(backing) }
        var configuration = loop_config()
        configuration.fd = UInt32(backing)
        configuration.block_size = UInt32(options.sectorSize)
        configuration.info.lo_flags = options.flags
        // What losetup(8) shows; the kernel keeps 63 bytes of it.
        unsafe withUnsafeMutableBytes(of: &configuration.info.lo_file_name) { name in
            unsafe name.copyBytes(from: file.utf8.prefix(name.count - 1))
        }
        // SAFETY: LOOP_CONFIGURE only reads the structure, which lives until the call returns.
        guard unsafe ioctl(loop, UInt(LOOP_CONFIGURE), &configuration) == 0 else { throw Errno.current }
        // 'blockdev --setro' outlives what was attached: a run that was killed in between leaves a node read-only for
        // good. BLKROSET is _IO(0x12, 93), which Swift does not import.
        var isReadOnly: Int32 = options.readOnly ? 1 : 0
        guard unsafe ioctl(loop, 0x125D, &isReadOnly) == 0 else { throw Errno.current }
    }

    private static func makeFile(size: UInt64, fill: UInt8?) throws -> String {
        let folder = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var template = Array("\(folder)/flashlayer-loop-XXXXXX".utf8CString)
        let descriptor = unsafe template.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return Int32(-1) }
            return unsafe mkstemp(start)
        }
        guard descriptor >= 0 else { throw FlashlayerError.system("make a file in \(folder)", .current, code: .fault) }
        defer { Glibc.close(descriptor) }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard ftruncate(descriptor, off_t(size)) == 0 else {
            unsafe unlink(path)
            throw FlashlayerError.system("size \(path)", .current, code: .cannotCreate)
        }
        if let fill {
            let block = [UInt8](repeating: fill, count: 1 << 20)
            var left = size
            while left > 0 {
                let count = Int(min(left, UInt64(block.count)))
                let written = unsafe block.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, count) }
                guard written > 0 else {
                    unsafe unlink(path)
                    throw FlashlayerError.system("fill \(path)", .current, code: .cannotCreate)
                }
                left -= UInt64(written)
            }
        }
        return path
    }
}

/// A number is used once: the kernel remembers a device's partitions and its being read-only, and another test must
/// never find itself at a node that one has just let go.
private enum LoopNumbers {
    // Numbers that people and losetup(8) have are far below.
    private static let used = Atomic<Int32>(0)

    static func next() -> Int32 {
        10_000 + getpid() % 1000 * 1000 + used.add(1, ordering: .relaxed).oldValue % 1000
    }
}
