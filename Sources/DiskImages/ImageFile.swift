// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Digests
import Glibc
import Model
import Threads

/// An image file that is open for reading, past the page cache where the file system allows.
///
/// Reading and the check for changes go through descriptors that stay open, so that a file which is replaced under its
/// name is never half read.
package final class ImageFile: Sendable {
    package let path: String
    /// Bytes, as it was when opened.
    package let size: UInt64
    /// A device otherwise.
    let isRegular: Bool
    private let descriptor: Int32
    /// For whoever reads through the page cache.
    var cachedDescriptor: Int32 { descriptor }
    /// -1 where O_DIRECT is refused (some network file systems).
    private let direct: Int32
    private let stamp: Stamp

    /// What shows that a file was replaced or written to.
    private struct Stamp: Equatable {
        let device: UInt64
        let inode: UInt64
        let size: Int64
        /// Anybody can set the time of the last change of the content back; that of the last change of any kind only the
        /// kernel sets. Of a device both tell nothing: each opening may touch its node.
        let changes: [Int]
        let medium: MediumWrites?

        init(_ status: stat) {
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            let isDevice = status.st_mode & S_IFMT == S_IFBLK
            changes =
                isDevice
                ? []
                : [status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
            medium = isDevice ? MediumWrites(of: UInt64(status.st_rdev)) : nil
        }
    }

    /// - Throws: `not-found`, `not-permitted`, `bad-image` when it is no file.
    package init(_ path: String) throws {
        self.path = path
        // Without O_NONBLOCK a pipe would wait here for somebody who writes into it; files and disks do not care.
        descriptor = unsafe flashlayer_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0)
        guard descriptor >= 0 else {
            throw FlashlayerError.system("open the image \(path)", .current, code: .badImage)
        }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            let failure = Errno.current
            close(descriptor)
            throw FlashlayerError.system("look at the image \(path)", failure, code: .badImage)
        }
        isRegular = status.st_mode & S_IFMT == S_IFREG
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            size = UInt64(status.st_size)
        case S_IFBLK:
            var bytes: UInt64 = 0
            guard unsafe flashlayer_blkgetsize64(descriptor, &bytes) == 0 else {
                let failure = Errno.current
                close(descriptor)
                throw FlashlayerError.system("ask \(path) for its size", failure, code: .badImage)
            }
            size = bytes
        default:
            close(descriptor)
            throw FlashlayerError(
                .badImage,
                "\(path) is no disk image",
                advice: "give a disk image file, as `flashlayer build` makes one"
            )
        }
        stamp = Stamp(status)
        direct = unsafe flashlayer_open("/proc/self/fd/\(descriptor)", O_RDONLY | O_CLOEXEC | flashlayer_o_direct, 0)
    }

    deinit {
        if direct >= 0 { close(direct) }
        close(descriptor)
    }

    /// Fills the buffer from a place that the file must have; only the end of the file may cut the last page.
    ///
    /// - Throws: `bad-image` when the file ends too early or cannot be read.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        try unsafe read(into: buffer, at: offset, mayBeDirect: true)
    }

    /// The same through the page cache, which reads ahead for whoever reads in order; see `expectReadingInOrder`.
    func readCached(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
        try unsafe read(into: buffer, at: offset, mayBeDirect: false)
    }

    /// Tells the kernel that the whole file will be read from its start; see POSIX_FADV_SEQUENTIAL.
    func expectReadingInOrder() {
        posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_SEQUENTIAL))
    }

    private func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, mayBeDirect: Bool) throws {
        var done = 0
        while done < buffer.count {
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let place = offset + UInt64(done)
            let descriptor = mayBeDirect ? unsafe suitable(for: rest, at: place) : self.descriptor
            let count = unsafe pread(descriptor, rest, at: place)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                throw FlashlayerError.system(
                    "read the image \(path) at byte \(offset + UInt64(done))",
                    .current,
                    code: .badImage,
                    offset: offset + UInt64(done)
                )
            }
            guard count > 0 else { throw truncated(at: offset + UInt64(done)) }
            done += count
        }
    }

    /// See `RandomAccessSource.cachedPlace`.
    func cachedPlace(at offset: UInt64, count: Int) -> FilePlace? {
        let unit = AlignedBuffer.alignment
        guard isRegular, offset % UInt64(unit) == 0, count % unit == 0, offset + UInt64(count) <= size,
            isInMemory(at: offset, count: count)
        else { return nil }
        var first: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        let isRead = unsafe withUnsafeMutableBytes(of: &first) { first in
            unsafe pread(descriptor, first, at: offset) == first.count
        }
        return isRead && first != (0, 0, 0, 0) ? FilePlace(in: self, at: offset) : nil
    }

    /// Whether a part of the file is in the page cache, as far as a page here and there tells; see mincore(2). Asking for
    /// each one takes longer than moving it, and what is missing is only slower.
    private func isInMemory(at offset: UInt64, count: Int) -> Bool {
        let pages = unsafe mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, off_t(offset))
        guard let pages = unsafe pages, unsafe pages != MAP_FAILED else { return false }
        defer { unsafe munmap(pages, count) }
        var residency: UInt8 = 0
        return stride(from: 0, to: count, by: Self.samplingDistance).allSatisfy { start in
            unsafe mincore(pages + start, AlignedBuffer.alignment, &residency) == 0 && residency & 1 == 1
        }
    }

    /// Bytes, a multiple of the alignment.
    private static let samplingDistance = 256 << 10

    /// Up to `count` bytes from the start: fewer when the file is shorter.
    package func prefix(_ count: Int) throws -> [UInt8] {
        let length = min(UInt64(count), size)
        let buffer = AlignedBuffer(count: Int(length))
        try unsafe read(
            into: UnsafeMutableRawBufferPointer(rebasing: buffer.mutableBytes[..<Int(length)]),
            at: 0
        )
        return unsafe Array(buffer.bytes[..<Int(length)])
    }

    package func confirmUnchanged() throws {
        var now = stat()
        var named = stat()
        guard
            unsafe fstat(descriptor, &now) == 0, Stamp(now) == stamp,
            unsafe stat(path, &named) == 0, Stamp(named) == stamp
        else {
            throw FlashlayerError(
                .sourceChanged,
                "the image \(path) was changed while it was read",
                advice: "let nothing write to it, and run the command again"
            )
        }
    }

    /// Reads the whole file, on a thread of its own.
    ///
    /// - Throws: `digest-mismatch`, `source-changed`.
    func compare(with sha256: Digest) async throws {
        let found = try await onAbandonableThread(named: "hash-image") { [self] in
            let bytes = FileOrigin(self).begin()
            let buffer = AlignedBuffer(count: Int(ByteSize.mebibyte))
            var hash = try SHA256()
            while true {
                let count = try unsafe bytes.read(into: buffer.mutableBytes)
                if count == 0 { return hash.finish() }
                unsafe hash.update(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<count]))
            }
        }
        guard found == sha256 else { throw FlashlayerError.wrongDigest(of: path, found: found, wanted: sha256) }
    }

    func truncated(at offset: UInt64) -> FlashlayerError {
        FlashlayerError(
            .badImage,
            "the image \(path) is truncated: its content goes on behind byte \(offset), where the file ends",
            advice: "copy or build it again",
            offset: offset
        )
    }

    /// Runs of data and holes as the file system knows them; see SEEK_HOLE in lseek(2).
    func extents() -> [Extent] {
        var extents: [Extent] = []
        var position: UInt64 = 0
        while position < size {
            let data = lseek(descriptor, off_t(position), flashlayer_seek_data)
            if data < 0 {
                // ENXIO: no data up to the end. Anything else: no holes are known, so all of it is data.
                let kind: Extent.Kind = errno == ENXIO ? .zero : .data
                extents.append(Extent(offset: position, length: size - position, kind: kind))
                break
            }
            let start = min(UInt64(data), size)
            if start > position { extents.append(Extent(offset: position, length: start - position, kind: .zero)) }
            guard start < size else { break }
            let hole = lseek(descriptor, off_t(start), flashlayer_seek_hole)
            let end = hole < 0 ? size : min(UInt64(hole), size)
            extents.append(Extent(offset: start, length: end - start, kind: .data))
            position = end
        }
        return extents
    }

    /// Holds QEMU's own advisory locks of a reader, so that no virtual machine opens the image for writing while we
    /// read it. Bytes 101 and 103 are what a writer holds; see file-posix.c's RAW_LOCK_PERM_BASE in QEMU.
    ///
    /// - Throws: `source-changed` when a virtual machine has it open for writing now.
    func lockAgainstVirtualMachines() throws {
        for byte in [100, 201, 203] as [off_t] where flashlayer_lock_byte_shared(descriptor, byte) != 0 {
            // A file system without such locks has no virtual machine that asks for them either.
            return
        }
        for byte in [101, 103] as [off_t] where flashlayer_byte_is_locked(descriptor, byte) == 1 {
            throw FlashlayerError(
                .sourceChanged,
                "the image \(path) is open for writing in a virtual machine",
                advice: "shut that machine down first"
            )
        }
    }

    /// O_DIRECT where offset, length and memory allow it; the page cache otherwise. The last page of a file may be
    /// asked for in full.
    private func suitable(for buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int32 {
        let unit = AlignedBuffer.alignment
        let aligned =
            Int(bitPattern: buffer.baseAddress) % unit == 0 && offset % UInt64(unit) == 0
            && buffer.count % unit == 0
        return direct >= 0 && aligned ? direct : descriptor
    }

    private func pread(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        unsafe Glibc.pread(descriptor, buffer.baseAddress, buffer.count, off_t(offset))
    }
}
