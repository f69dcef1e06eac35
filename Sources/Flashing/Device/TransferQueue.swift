// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import Glibc
import Model

/// Whoever is kept alive by a transfer, and the chunks whose memory it uses.
protocol ChunkHolder: AnyObject, Sendable {
    var chunks: [Chunk] { get }
}

extension Chunk: ChunkHolder {
    var chunks: [Chunk] { [self] }
}

/// A piece of work on the target: bytes of a buffer, to or from one place.
struct Transfer: Sendable {
    enum Direction: Sendable {
        case read, write
    }

    let direction: Direction
    let buffer: AlignedBuffer
    /// Where in the buffer the bytes are; a multiple of the target's sector size.
    let start: Int
    /// Bytes; a multiple of the target's sector size.
    let count: Int
    /// On the target, in bytes.
    let offset: UInt64
    /// Kept alive until the transfer is done, and handed back then.
    let owner: (any ChunkHolder)?
    /// Where the bytes of the buffer's start are instead, for a backend that takes them from there.
    let place: FilePlace?

    init(
        _ direction: Direction,
        _ buffer: AlignedBuffer,
        start: Int = 0,
        count: Int,
        offset: UInt64,
        owner: (any ChunkHolder)? = nil,
        place: FilePlace? = nil
    ) {
        self.direction = direction
        self.buffer = buffer
        self.start = start
        self.count = count
        self.offset = offset
        self.owner = owner
        self.place = place
    }

    var range: Range<UInt64> { offset..<(offset + UInt64(count)) }
}

/// Keeps the target busy: splits transfers into requests of a size that devices like, holds a bounded number of bytes in
/// flight, and finishes what the kernel cut short.
///
/// A queue belongs to one thread. Requests that the device never answers keep their buffers for ever: memory that the
/// kernel may still write into is never used again.
final class TransferQueue {
    private struct Request {
        var transfer: Int
        /// In the transfer, in bytes.
        var start: Int
        var count: Int
        /// The bytes are in the buffer, wherever they were at first.
        var isCopied = false
    }

    private struct Pending {
        let transfer: Transfer
        var remaining: Int
    }

    private let backend: any RequestBackend
    private let descriptor: Int32
    private let path: String
    private let limits: QueueLimits
    private var transfers: [Int: Pending] = [:]
    private var nextTransfer = 0
    private var waiting: [Request] = []
    private var inFlight: [UInt64: Request] = [:]
    private var nextTag: UInt64 = 1
    private var bytesInFlight = 0
    private var lastCompletion = ContinuousClock.now
    /// Done while something else was waited for.
    private var done: [Transfer] = []
    /// The device did not answer in time: nothing is asked of it any more.
    private(set) var isHung = false
    private var isAbandoned = false

    /// The tag of the one request that is no transfer: a flush or a hole.
    private static let soloTag: UInt64 = 0

    /// - Parameters:
    ///   - descriptor: of the target, opened with O_DIRECT.
    ///   - path: of the target, for messages.
    init(_ backend: any RequestBackend, descriptor: Int32, path: String, limits: QueueLimits) {
        self.backend = backend
        self.descriptor = descriptor
        self.path = path
        self.limits = limits
    }

    /// Through io_uring, and where there is none through threads.
    ///
    /// - Parameter arenas: where the buffers come from.
    static func backend(arenas: [BufferArena]) throws -> any RequestBackend {
        do {
            return try Ring(entries: 64, arenas: arenas)
        } catch let error as FlashlayerError where error.code == .unavailable {
            return try BlockingThreads()
        }
    }

    /// Waits for what is in flight; what the device does not answer within five seconds keeps its memory.
    deinit {
        let deadline = ContinuousClock.now + (isHung ? .zero : .seconds(5))
        while !inFlight.isEmpty, ContinuousClock.now < deadline {
            guard let completion = try? backend.wait(milliseconds: 100) else { continue }
            inFlight[completion.tag] = nil
        }
        if !inFlight.isEmpty || isHung { abandon() }
    }

    /// Leaves a device that does not answer to itself: the memory of what is in flight is nobody's any more, and what was
    /// only waiting is free.
    func abandon() {
        guard !isAbandoned else { return }
        isAbandoned = true
        isHung = true
        for request in inFlight.values {
            guard let transfer = transfers[request.transfer]?.transfer else { continue }
            unsafe _ = Unmanaged.passRetained(transfer.buffer)
            guard let owner = transfer.owner else { continue }
            unsafe _ = Unmanaged.passRetained(owner as AnyObject)
            for chunk in owner.chunks { chunk.lose() }
        }
        // Closing a ring waits for its requests.
        unsafe _ = Unmanaged.passRetained(backend as AnyObject)
        transfers = [:]
        waiting = []
        done = []
    }

    /// Whether it takes bytes from a place in a file.
    var takesPlaces: Bool { backend.takesPlaces }

    var isEmpty: Bool { transfers.isEmpty && done.isEmpty }

    /// True once enough is queued to keep the device busy; adding more would only cost memory.
    var isFull: Bool { !waiting.isEmpty }

    func add(_ transfer: Transfer) throws {
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
    func advance() throws -> Transfer? {
        if !done.isEmpty { return done.removeFirst() }
        guard let completion = try next(limit: limits.timeout) else { return nil }
        try settle(completion)
        return done.isEmpty ? nil : done.removeFirst()
    }

    /// Waits until everything that was added is done.
    func finish(_ onDone: (Transfer) throws -> Void = { _ in }) throws {
        while !isEmpty {
            if let transfer = try advance() { try onDone(transfer) }
        }
    }

    /// Forgets what was asked for, after a failure: what is in flight is waited for, a little, and what comes of it is
    /// nobody's business any more.
    func reset() {
        waiting = []
        done = []
        let deadline = ContinuousClock.now + .seconds(5)
        while !inFlight.isEmpty, !isHung, ContinuousClock.now < deadline {
            guard let completion = try? backend.wait(milliseconds: 100) else { continue }
            inFlight[completion.tag] = nil
        }
        guard inFlight.isEmpty else {
            isHung = true
            return
        }
        transfers = [:]
        bytesInFlight = 0
    }

    /// Everything that was written is on the medium when this returns, as far as the device tells the truth.
    ///
    /// - Parameters:
    ///   - patience: how long it may take beyond the usual time limit.
    ///   - whileWaiting: is called now and then.
    func flush(patience: Duration = .zero, whileWaiting: () throws -> Void = {}) throws {
        let result = try solo(.flush, 0..<0, limit: limits.timeout + patience, whileWaiting)
        guard result >= 0 else {
            throw FlashlayerError.system("flush \(path)", Errno(Int32(-result)), code: .ioError)
        }
    }

    /// - Returns: false where the device has no such offload.
    func punchHole(_ range: Range<UInt64>) throws -> Bool {
        while true {
            let result = try solo(.punchHole, range, limit: limits.timeout)
            if result >= 0 { return true }
            let failure = Errno(Int32(-result))
            switch failure.value {
            case EINTR: continue
            case EOPNOTSUPP, ENOSYS, EINVAL, EPERM, ENODEV: return false
            default:
                throw FlashlayerError.system(
                    "zero \(path) at byte \(range.lowerBound)",
                    failure,
                    code: .ioError,
                    offset: range.lowerBound
                )
            }
        }
    }

    // MARK: - Requests

    private func solo(
        _ operation: DeviceRequest.Operation,
        _ range: Range<UInt64>,
        limit: Duration,
        _ whileWaiting: () throws -> Void = {}
    ) throws -> Int {
        let request = DeviceRequest(
            operation: operation,
            descriptor: descriptor,
            buffer: nil,
            place: nil,
            start: 0,
            count: UInt64(range.count),
            offset: range.lowerBound,
            tag: Self.soloTag
        )
        if !backend.prepare(request) {
            try backend.submit()
            _ = backend.prepare(request)
        }
        try backend.submit()
        // It stands for the memory that nobody may free while it is under way.
        inFlight[Self.soloTag] = Request(transfer: -1, start: 0, count: 0)
        lastCompletion = .now
        while true {
            if let completion = try next(limit: limit) {
                if completion.tag == Self.soloTag {
                    inFlight[Self.soloTag] = nil
                    return completion.result
                }
                try settle(completion)
            }
            try whileWaiting()
        }
    }

    private func next(limit: Duration) throws -> DeviceCompletion? {
        if let completion = try backend.wait(milliseconds: 100) {
            lastCompletion = .now
            return completion
        }
        guard ContinuousClock.now - lastCompletion < limit else {
            isHung = true
            throw FlashlayerError(
                .timeout,
                "\(path) has not answered for \(limit.components.seconds) seconds",
                advice: "check the cable and the port; the device may be broken (--timeout changes the limit)"
            )
        }
        return nil
    }

    private func settle(_ completion: DeviceCompletion) throws {
        guard let request = inFlight.removeValue(forKey: completion.tag), var pending = transfers[request.transfer]
        else {
            throw FlashlayerError(.fault, "the kernel completed a request that was never made")
        }
        bytesInFlight -= request.count
        if completion.isSourceFault {
            waiting.insert(try copied(request, of: pending.transfer), at: 0)
            return try submitWaiting()
        }
        switch completion.result {
        case -Int(EINTR), -Int(EAGAIN):
            waiting.insert(request, at: 0)
        case ..<0:
            throw failure(Errno(Int32(-completion.result)), of: pending.transfer, at: request.start)
        case 0:
            let end = Errno(pending.transfer.direction == .write ? ENOSPC : EIO)
            throw failure(end, of: pending.transfer, at: request.start)
        default:
            let count = completion.result
            pending.remaining -= count
            transfers[request.transfer] = pending
            if count < request.count {
                var rest = request
                rest.start += count
                rest.count -= count
                waiting.insert(rest, at: 0)
            }
        }
        try submitWaiting()
        guard pending.remaining == 0 else { return }
        transfers[request.transfer] = nil
        done.append(pending.transfer)
    }

    private func submitWaiting() throws {
        var prepared = false
        while let request = waiting.first, let transfer = transfers[request.transfer]?.transfer {
            let fits = bytesInFlight == 0 || bytesInFlight + request.count <= limits.bytesInFlight
            // SAFETY: the buffer is held by `transfers` until the completion came, or for ever (see `deinit`).
            guard
                fits,
                backend.prepare(
                    DeviceRequest(
                        operation: transfer.direction == .read ? .read : .write,
                        descriptor: descriptor,
                        buffer: transfer.buffer,
                        place: request.isCopied ? nil : transfer.place?.advanced(by: transfer.start + request.start),
                        start: transfer.start + request.start,
                        count: UInt64(request.count),
                        offset: transfer.offset + UInt64(request.start),
                        tag: nextTag
                    )
                )
            else { break }
            inFlight[nextTag] = request
            nextTag += 1
            bytesInFlight += request.count
            waiting.removeFirst()
            prepared = true
        }
        if prepared { try backend.submit() }
    }

    /// What the kernel would not take from the file is read from it like any other image.
    private func copied(_ request: Request, of transfer: Transfer) throws -> Request {
        let start = transfer.start + request.start
        let rest = start..<(start + request.count)
        try unsafe transfer.place?.advanced(by: start).read(
            into: UnsafeMutableRawBufferPointer(rebasing: transfer.buffer.mutableBytes[rest])
        )
        var request = request
        request.isCopied = true
        return request
    }

    private func failure(_ errno: Errno, of transfer: Transfer, at start: Int) -> FlashlayerError {
        let offset = transfer.offset + UInt64(start)
        let verb = transfer.direction == .write ? "write to" : "read back"
        return .system("\(verb) \(path) at byte \(offset)", errno, code: .ioError, offset: offset)
    }
}
