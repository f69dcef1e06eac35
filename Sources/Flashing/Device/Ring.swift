// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLibURing
import CLinux
import Glibc
import Model

/// An io_uring of one thread: requests in, completions out. See io_uring(7).
///
/// It is created, used and destroyed on the same thread. Whoever submits keeps the memory alive until its completion
/// came.
@safe
final class Ring: RequestBackend {
    private let ring: UnsafeMutablePointer<io_uring>
    /// Memory that the kernel has mapped for good: it saves the mapping of every request.
    private let registered: [BufferArena]

    /// - Parameters:
    ///   - entries: how many requests may be waiting for submission.
    ///   - arenas: where most buffers come from. Registering them is charged to RLIMIT_MEMLOCK; where that does not
    ///     allow it, they are used like any other memory.
    /// - Throws: `unavailable` where the kernel has no io_uring, or forbids it.
    init(entries: UInt32, arenas: [BufferArena]) throws {
        let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        // One issuer that reaps its own completions needs no interrupts from the kernel. Linux 6.1 and later.
        let flags = UInt32(IORING_SETUP_SINGLE_ISSUER) | UInt32(IORING_SETUP_DEFER_TASKRUN)
        var failure = unsafe io_uring_queue_init(entries, ring, flags)
        if failure == -EINVAL { failure = unsafe io_uring_queue_init(entries, ring, 0) }
        guard failure == 0 else {
            unsafe ring.deallocate()
            throw FlashlayerError(.unavailable, "the kernel gives no io_uring: \(Errno(-failure))")
        }
        let vectors = unsafe arenas.map { arena in
            unsafe iovec(iov_base: arena.memory.baseAddress, iov_len: arena.memory.count)
        }
        let isRegistered =
            !(unsafe vectors.isEmpty)
            && (unsafe vectors.withUnsafeBufferPointer { vectors in
                // SAFETY: the arenas are held by `registered` for as long as the ring lives.
                unsafe io_uring_register_buffers(ring, vectors.baseAddress, UInt32(vectors.count))
            }) == 0
        registered = isRegistered ? arenas : []
        unsafe self.ring = ring
    }

    deinit {
        unsafe io_uring_queue_exit(ring)
        unsafe ring.deallocate()
    }

    func prepare(_ request: DeviceRequest) -> Bool {
        guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
        let file = request.descriptor
        switch request.operation {
        case .flush: unsafe io_uring_prep_fsync(entry, file, 0)
        case .punchHole:
            unsafe io_uring_prep_fallocate(
                entry,
                file,
                flashlayer_punch_hole,
                off_t(request.offset),
                off_t(request.count)
            )
        case .read, .write:
            // SAFETY: the caller keeps the buffer until the completion came, and `start` lies inside it.
            let memory = unsafe request.buffer?.mutableBytes.baseAddress.map { unsafe $0 + request.start }
            let count = UInt32(request.count)
            let index = request.buffer?.arena.flatMap { arena in registered.firstIndex { $0 === arena } }
            switch (request.operation, index) {
            case (.read, let index?):
                unsafe io_uring_prep_read_fixed(entry, file, memory, count, request.offset, Int32(index))
            case (.read, nil): unsafe io_uring_prep_read(entry, file, memory, count, request.offset)
            case (_, let index?):
                unsafe io_uring_prep_write_fixed(entry, file, memory, count, request.offset, Int32(index))
            case (_, nil): unsafe io_uring_prep_write(entry, file, memory, count, request.offset)
            }
        }
        unsafe io_uring_sqe_set_data64(entry, request.tag)
        return true
    }

    func submit() throws {
        while true {
            let result = unsafe io_uring_submit(ring)
            if result == -EINTR || result == -EAGAIN { continue }
            guard result >= 0 else { throw FlashlayerError.system("submit to io_uring", Errno(-result), code: .fault) }
            return
        }
    }

    func wait(milliseconds: Int) throws -> DeviceCompletion? {
        var entry: UnsafeMutablePointer<io_uring_cqe>?
        var timeout = __kernel_timespec(
            tv_sec: Int64(milliseconds / 1000),
            tv_nsec: Int64(milliseconds % 1000) * 1_000_000
        )
        let result = unsafe io_uring_wait_cqes(ring, &entry, 1, &timeout, nil)
        if result == -ETIME || result == -EINTR || result == -EAGAIN { return nil }
        guard result == 0, let entry = unsafe entry else {
            throw FlashlayerError.system("wait for io_uring", Errno(-result), code: .fault)
        }
        let completion = unsafe DeviceCompletion(tag: entry.pointee.user_data, result: Int(entry.pointee.res))
        unsafe io_uring_cqe_seen(ring, entry)
        return completion
    }
}
