// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Glibc
import Model

/// A piece of work on the target: bytes of a buffer, to or from one place.
struct Transfer: Sendable {
    let direction: Ring.Direction
    let buffer: AlignedBuffer
    /// Where in the buffer the bytes are; a multiple of the target's sector size.
    let start: Int
    /// Bytes; a multiple of the target's sector size.
    let count: Int
    /// On the target, in bytes.
    let offset: UInt64
    /// Kept alive until the transfer is done, and handed back then.
    let owner: (any AnyObject & Sendable)?

    init(
        _ direction: Ring.Direction,
        _ buffer: AlignedBuffer,
        start: Int = 0,
        count: Int,
        offset: UInt64,
        owner: (any AnyObject & Sendable)? = nil
    ) {
        self.direction = direction
        self.buffer = buffer
        self.start = start
        self.count = count
        self.offset = offset
        self.owner = owner
    }
}

/// Keeps the target busy: splits transfers into requests of a size that devices like, holds a bounded number of bytes in
/// flight, and finishes what the kernel cut short.
///
/// A queue belongs to one thread. Requests that the device never answers keep their buffers for ever: memory that the
/// kernel may still write into is never used again.
struct TransferQueue: ~Copyable {
    /// What the queue asks of the device; all in bytes.
    struct Limits: Sendable {
        var requestSize: Int
        var bytesInFlight: Int
        /// Without any completion for so long, the device counts as hung.
        var timeout: Duration

        /// Never more than half of what the device's own queue takes: a process with more in flight than that cannot
        /// even be killed when the device hangs.
        ///
        /// - Parameter timeout: seconds.
        init(_ queue: RequestQueue, timeout: Int) {
            let largest = min(1 << 20, max(64 << 10, queue.maximumRequest))
            // A power of two: chunks are cut into equal parts.
            requestSize = 1 << (Int.bitWidth - 1 - largest.leadingZeroBitCount)
            bytesInFlight = min(8 << 20, max(2, queue.depth / 2) * requestSize)
            self.timeout = .seconds(timeout)
        }
    }

    private struct Request {
        var transfer: Int
        /// In the transfer, in bytes.
        var start: Int
        var count: Int
    }

    private struct Pending {
        let transfer: Transfer
        var remaining: Int
    }

    private let ring: Ring
    private let descriptor: Int32
    private let path: String
    private let limits: Limits
    private var transfers: [Int: Pending] = [:]
    private var nextTransfer = 0
    private var waiting: [Request] = []
    private var inFlight: [UInt64: Request] = [:]
    private var nextTag: UInt64 = 0
    private var bytesInFlight = 0
    private var lastCompletion = ContinuousClock.now
    private var isHung = false

    /// - Parameters:
    ///   - descriptor: of the target, opened with O_DIRECT.
    ///   - path: of the target, for messages.
    init(descriptor: Int32, path: String, limits: Limits) throws {
        ring = try Ring(entries: 64)
        self.descriptor = descriptor
        self.path = path
        self.limits = limits
    }

    /// Waits for what is in flight; what the device does not answer within five seconds keeps its memory.
    deinit {
        var unanswered = inFlight
        let deadline = ContinuousClock.now + (isHung ? .zero : .seconds(5))
        while !unanswered.isEmpty, ContinuousClock.now < deadline {
            guard let completion = try? ring.wait(milliseconds: 100) else { continue }
            unanswered[completion.tag] = nil
        }
        for request in unanswered.values {
            guard let transfer = transfers[request.transfer]?.transfer else { continue }
            unsafe _ = Unmanaged.passRetained(transfer.buffer)
            if let owner = transfer.owner { unsafe _ = Unmanaged.passRetained(owner) }
        }
    }

    var isEmpty: Bool { transfers.isEmpty }

    /// True once enough is queued to keep the device busy; adding more would only cost memory.
    var isFull: Bool { !waiting.isEmpty }

    mutating func add(_ transfer: Transfer) throws {
        if inFlight.isEmpty { lastCompletion = .now }
        let number = nextTransfer
        nextTransfer += 1
        transfers[number] = Pending(transfer: transfer, remaining: transfer.count)
        for start in stride(from: 0, to: transfer.count, by: limits.requestSize) {
            waiting.append(
                Request(transfer: number, start: start, count: min(limits.requestSize, transfer.count - start))
            )
        }
        try submitWaiting()
    }

    /// Waits a little for the device.
    ///
    /// - Returns: a transfer that is done, or nil: call again.
    /// - Throws: `io-error` and its kin with the offset on the target; `timeout`.
    mutating func advance() throws -> Transfer? {
        guard let completion = try ring.wait(milliseconds: 100) else {
            guard ContinuousClock.now - lastCompletion < limits.timeout else {
                isHung = true
                throw FlashlayerError(
                    .timeout,
                    "\(path) has not answered for \(limits.timeout.components.seconds) seconds",
                    advice: "check the cable and the port; the device may be broken (--timeout changes the limit)"
                )
            }
            return nil
        }
        lastCompletion = .now
        guard let request = inFlight.removeValue(forKey: completion.tag), var pending = transfers[request.transfer]
        else {
            throw FlashlayerError(.fault, "io_uring completed a request that was never made")
        }
        bytesInFlight -= request.count
        let done = Int(completion.result)
        switch completion.result {
        case -EINTR, -EAGAIN:
            waiting.insert(request, at: 0)
        case ..<0:
            throw failure(Errno(-completion.result), of: pending.transfer, at: request.start)
        case 0:
            throw failure(
                Errno(pending.transfer.direction == .write ? ENOSPC : EIO),
                of: pending.transfer,
                at: request.start
            )
        default:
            pending.remaining -= done
            transfers[request.transfer] = pending
            if done < request.count {
                waiting.insert(
                    Request(transfer: request.transfer, start: request.start + done, count: request.count - done),
                    at: 0
                )
            }
        }
        try submitWaiting()
        guard pending.remaining == 0 else { return nil }
        transfers[request.transfer] = nil
        return pending.transfer
    }

    private mutating func submitWaiting() throws {
        var prepared = false
        while let request = waiting.first, let transfer = transfers[request.transfer]?.transfer {
            let fits = bytesInFlight == 0 || bytesInFlight + request.count <= limits.bytesInFlight
            guard fits else { break }
            let memory = unsafe transfer.buffer.mutableBytes[(transfer.start + request.start)...]
            // SAFETY: the buffer is held by `transfers` until the completion came, or for ever (see `deinit`).
            guard
                let address = unsafe UnsafeMutableRawBufferPointer(rebasing: memory).baseAddress,
                unsafe ring.prepare(
                    transfer.direction,
                    descriptor: descriptor,
                    memory: address,
                    count: request.count,
                    offset: transfer.offset + UInt64(request.start),
                    tag: nextTag
                )
            else { break }
            inFlight[nextTag] = request
            nextTag += 1
            bytesInFlight += request.count
            waiting.removeFirst()
            prepared = true
        }
        if prepared { try ring.submit() }
    }

    private func failure(_ errno: Errno, of transfer: Transfer, at start: Int) -> FlashlayerError {
        let offset = transfer.offset + UInt64(start)
        let verb = transfer.direction == .write ? "write to" : "read back"
        return .system("\(verb) \(path) at byte \(offset)", errno, code: .ioError, offset: offset)
    }
}
