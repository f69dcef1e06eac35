// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLibURing
import Glibc
import Model

/// An io_uring of one thread: requests in, completions out. See io_uring(7).
///
/// It is created, used and destroyed on the same thread. Whoever submits keeps the memory alive until its completion
/// came.
@safe
struct Ring: ~Copyable {
    private let ring: UnsafeMutablePointer<io_uring>

    /// A finished request: `result` is a byte count, or a negated `errno`.
    struct Completion {
        let tag: UInt64
        let result: Int32
    }

    /// - Parameter entries: how many requests may be waiting for submission.
    /// - Throws: `unavailable` where the kernel has no io_uring, or forbids it.
    init(entries: UInt32) throws {
        let ring = UnsafeMutablePointer<io_uring>.allocate(capacity: 1)
        // One issuer that reaps its own completions needs no interrupts from the kernel. Linux 6.1 and later.
        let flags = UInt32(IORING_SETUP_SINGLE_ISSUER) | UInt32(IORING_SETUP_DEFER_TASKRUN)
        var failure = unsafe io_uring_queue_init(entries, ring, flags)
        if failure == -EINVAL { failure = unsafe io_uring_queue_init(entries, ring, 0) }
        guard failure == 0 else {
            unsafe ring.deallocate()
            throw FlashlayerError(
                .unavailable,
                "the kernel gives no io_uring: \(Errno(-failure))",
                advice: "allow it: sysctl kernel.io_uring_disabled=0, and no seccomp profile that forbids it"
            )
        }
        unsafe self.ring = ring
    }

    deinit {
        unsafe io_uring_queue_exit(ring)
        unsafe ring.deallocate()
    }

    enum Direction: Sendable {
        case read, write
    }

    /// Queues a request; `submit` hands it to the kernel.
    ///
    /// - Returns: false when the submission queue is full.
    func prepare(
        _ direction: Direction,
        descriptor: Int32,
        memory: UnsafeMutableRawPointer,
        count: Int,
        offset: UInt64,
        tag: UInt64
    ) -> Bool {
        guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
        switch direction {
        case .read: unsafe io_uring_prep_read(entry, descriptor, memory, UInt32(count), offset)
        case .write: unsafe io_uring_prep_write(entry, descriptor, memory, UInt32(count), offset)
        }
        unsafe io_uring_sqe_set_data64(entry, tag)
        return true
    }

    /// - Throws: `fault` when the kernel takes no request.
    func submit() throws {
        while true {
            let result = unsafe io_uring_submit(ring)
            if result == -EINTR || result == -EAGAIN { continue }
            guard result >= 0 else { throw FlashlayerError.system("submit to io_uring", Errno(-result), code: .fault) }
            return
        }
    }

    /// Waits for one completion.
    ///
    /// - Returns: nil when none came in time.
    func wait(milliseconds: Int) throws -> Completion? {
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
        let completion = unsafe Completion(tag: entry.pointee.user_data, result: entry.pointee.res)
        unsafe io_uring_cqe_seen(ring, entry)
        return completion
    }
}
