// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLibURing
import CLinux
import DiskImages
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
    /// For bytes that stand in a file: each such request is two of the ring's, linked, which fill a pipe and drain it.
    private var freePipes: [SplicePipe]
    private var busyPipes: [SplicePipe] = []
    /// A pipe that was filled is nothing to be woken for: only one that was not makes a completion, and then none is made
    /// of the one that drains it. Linux 5.17 and later.
    private let fillsSilently: Bool

    /// As many as keep a device busy while the next ones are filled.
    private static let pipeCount = 4
    /// Set in the tags of the two; no request has a tag so high.
    private static let filling: UInt64 = 1 << 63
    private static let draining: UInt64 = 1 << 62

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
        fillsSilently = unsafe ring.pointee.features & UInt32(IORING_FEAT_CQE_SKIP) != 0
        freePipes = (0..<Self.pipeCount).compactMap { _ in SplicePipe() }
        unsafe self.ring = ring
    }

    deinit {
        unsafe io_uring_queue_exit(ring)
        unsafe ring.deallocate()
    }

    var takesPlaces: Bool { !freePipes.isEmpty || !busyPipes.isEmpty }

    func prepare(_ request: DeviceRequest) -> Bool {
        if let place = request.place { return splice(request, from: place) }
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
        while true {
            guard let completion = try next(milliseconds: milliseconds) else { return nil }
            guard completion.tag >= Self.draining else { return completion }
            if let completion = try spliced(completion) { return completion }
        }
    }

    private func next(milliseconds: Int) throws -> DeviceCompletion? {
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

    // MARK: - From a place in a file

    /// See `io_uring_prep_splice(3)`.
    private func splice(_ request: DeviceRequest, from place: FilePlace) -> Bool {
        guard !freePipes.isEmpty, unsafe io_uring_sq_space_left(ring) >= 2, let fill = unsafe io_uring_get_sqe(ring)
        else { return false }
        let pipe = freePipes.removeLast()
        pipe.begin(request)
        busyPipes.append(pipe)
        let count = UInt32(request.count)
        unsafe io_uring_prep_splice(fill, place.descriptor, Int64(place.offset), pipe.input, -1, count, 0)
        let silence: UInt32 = fillsSilently ? 1 << UInt32(IOSQE_CQE_SKIP_SUCCESS_BIT) : 0
        unsafe io_uring_sqe_set_flags(fill, 1 << UInt32(IOSQE_IO_LINK_BIT) | silence)
        unsafe io_uring_sqe_set_data64(fill, Self.filling | request.tag)
        return drain(pipe)
    }

    private func drain(_ pipe: SplicePipe) -> Bool {
        guard let entry = unsafe io_uring_get_sqe(ring) else { return false }
        let count = UInt32(pipe.filled - pipe.drained)
        unsafe io_uring_prep_splice(entry, pipe.output, -1, pipe.device, Int64(pipe.position), count, 0)
        unsafe io_uring_sqe_set_data64(entry, Self.draining | pipe.tag)
        return true
    }

    /// - Returns: nil where something is still under way.
    private func spliced(_ half: DeviceCompletion) throws -> DeviceCompletion? {
        let tag = half.tag & (Self.draining - 1)
        guard let index = busyPipes.firstIndex(where: { $0.tag == tag }) else {
            throw FlashlayerError(.fault, "the kernel moved pages that nobody asked it to move")
        }
        let pipe = busyPipes[index]
        var isAgain = [-Int(EINTR), -Int(EAGAIN), -Int(ECANCELED)].contains(half.result)
        if half.tag & Self.filling == 0 {
            pipe.drained += max(0, half.result)
        } else {
            pipe.filled = half.result
            guard fillsSilently else { return nil }
            isAgain = true
        }
        if pipe.filled > pipe.drained, half.result > 0 || isAgain {
            // The file gave less than was asked for, or the device took less than there was.
            guard drain(pipe) else { throw FlashlayerError(.fault, "there is no room in the ring") }
            try submit()
            return nil
        }
        busyPipes.remove(at: index)
        // What a device did not take would be in the way of the next request.
        if let pipe = pipe.isEmpty ? pipe : SplicePipe() { freePipes.append(pipe) }
        let isSourceFault = pipe.filled <= 0
        let result = isSourceFault ? pipe.filled : pipe.drained > 0 ? pipe.drained : half.result
        return DeviceCompletion(tag: tag, result: result, isSourceFault: isSourceFault)
    }
}
