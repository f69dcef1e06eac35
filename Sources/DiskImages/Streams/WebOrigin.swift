// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Programs
import Synchronization

/// A file on a web server, received by curl(1): proxies, TLS and redirections are its own.
final class WebOrigin: ByteOrigin {
    /// What has to stay the same from request to request.
    fileprivate struct Identity: Equatable {
        let size: UInt64?
        let validator: String?
    }

    let address: WebAddress
    fileprivate let mayBeAbsent: Bool
    private let curl: Program
    private let identity = Mutex<Identity?>(nil)

    /// - Parameter mayBeAbsent: that the server refuses it (403) is no more than that it is not there: object stores
    ///   that keep their lists to themselves answer so for any name that they do not have.
    init(_ address: WebAddress, mayBeAbsent: Bool = false) throws {
        self.address = address
        self.mayBeAbsent = mayBeAbsent
        curl = try Program("curl", debianPackage: "curl")
    }

    var name: String { address.name }
    var files: [String] { [] }
    var size: UInt64? { identity.withLock { $0?.size } }
    var isRepeatable: Bool { true }

    func begin() throws -> any ByteStream {
        try WebBytes(self)
    }

    /// Each pass compares what it gets.
    func confirmUnchanged() {}

    /// Notes what the first answer says, and compares later ones with it.
    fileprivate func confirm(_ found: Identity) throws {
        let isSame = identity.withLock { known in
            known = known ?? found
            return known == found
        }
        guard isSame else { throw changed }
    }

    fileprivate var changed: FlashlayerError {
        FlashlayerError(
            .sourceChanged,
            "\(name) was changed on the server while it was read",
            advice: "run the command again"
        )
    }

    fileprivate var validator: String? { identity.withLock { $0?.validator } }

    /// - Parameter position: where to go on; 0 for a new pass.
    fileprivate func request(from position: UInt64) throws -> ChildProgram {
        // On its standard input, since everybody sees the arguments of a process.
        var settings = ["url": address.url]
        var fixed = [
            "--config", "-", "--include", "--suppress-connect-headers", "--location", "--globoff", "--silent",
            "--show-error", "--no-buffer", "--proto", "=http,https", "--proto-redir", "=http,https",
            "--connect-timeout", "30", "--speed-limit", "1", "--speed-time", "60",
        ]
        if position > 0 {
            fixed += ["--range", "\(position)-"]
            if let validator { settings["header"] = "If-Range: \(validator)" }
        }
        let lines = settings.map { name, value in
            let quoted = value.split(separator: "", omittingEmptySubsequences: false).map { part in
                part == "\"" || part == "\\" ? "\\\(part)" : String(part)
            }
            return "\(name) = \"\(quoted.joined())\"\n"
        }
        return try ChildProgram(curl, fixed, input: .text(lines.joined()))
    }
}

/// One pass. A connection that breaks is taken up again where it broke, a bounded number of times in a row.
private final class WebBytes: ByteStream, @unchecked Sendable {
    // SAFETY: all but `current` and `isCancelled` is of the one thread that reads.
    private struct Request {
        let child: ChildProgram
        let pipe: PipeBytes
    }

    /// Nobody listened there. A server that is just starting does so soon.
    private struct Refused: Error {
        let error: FlashlayerError
    }

    private static let attempts = 6
    /// Milliseconds before the first connection is tried again.
    private static let firstPauses = [100, 300, 600, 1000]
    /// "Failed to connect to host", of a server or of a proxy: see curl(1).
    private static let cannotConnect: Int32 = 7
    private static let longestHead = 64 << 10

    private(set) var position: UInt64 = 0
    private let origin: WebOrigin
    private let current = Mutex<Request?>(nil)
    private let isCancelled = Atomic(false)
    /// Of the content, what came together with the head.
    private var rest: ArraySlice<UInt8> = []
    /// Attempts in a row that brought nothing.
    private var failures = 0

    init(_ origin: WebOrigin) throws {
        self.origin = origin
        try begin()
    }

    deinit {
        current.withLock { $0?.child.stop() }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let count = try unsafe receive(into: buffer)
            if count > 0 {
                failures = 0
                position += UInt64(count)
                if let size = origin.size, position > size { throw origin.changed }
                return count
            }
            // At the end that was told before, nothing runs any more.
            guard let outcome = try ended() else { return 0 }
            if let size = origin.size {
                if position == size { return 0 }
            } else if outcome.status == 0 {
                return 0
            }
            try resume(after: outcome)
        }
    }

    func cancel() {
        isCancelled.store(true, ordering: .releasing)
        current.withLock {
            $0?.pipe.cancel()
            $0?.child.stop()
        }
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if !rest.isEmpty {
            let count = min(rest.count, buffer.count)
            unsafe buffer.copyBytes(from: rest.prefix(count))
            rest = rest.dropFirst(count)
            return count
        }
        return try unsafe current.withLock { $0 }?.pipe.read(into: buffer) ?? 0
    }

    private func ended() throws -> Program.Outcome? {
        try current.withLock { $0.take() }?.child.waitForEnd()
    }

    /// Waits a little, longer each time, and asks for what is missing.
    private func resume(after outcome: Program.Outcome) throws {
        guard origin.validator != nil else { throw broken(outcome, "the server says nothing to tell a new version by") }
        while true {
            guard failures < Self.attempts else { throw broken(outcome, "\(failures) further attempts failed") }
            try pause(milliseconds: 100 << failures)
            failures += 1
            do {
                return try connect()
            } catch is Refused {
                continue
            } catch let error as FlashlayerError where error.code == .unavailable {
                continue
            }
        }
    }

    private func pause(milliseconds: Int) throws {
        for _ in 0..<(milliseconds / 50) {
            guard !isCancelled.load(ordering: .acquiring) else { throw FlashlayerError(.interrupted, "interrupted") }
            usleep(50_000)
        }
    }

    private func broken(_ outcome: Program.Outcome, _ why: String) -> FlashlayerError {
        let said = outcome.errors.split(separator: "\n").last.map { " (\($0))" } ?? ""
        let whole = origin.size.map { " of \($0)" } ?? ""
        return FlashlayerError(
            .badImage,
            "\(origin.name) ended at byte \(position)\(whole)\(said), and \(why)",
            advice: "download it first: curl -fLO --continue-at - \(origin.name)"
        )
    }

    private func begin() throws {
        var pauses = Self.firstPauses[...]
        while true {
            do {
                return try connect()
            } catch let refused as Refused {
                guard let milliseconds = pauses.popFirst() else { throw refused.error }
                try pause(milliseconds: milliseconds)
            }
        }
    }

    /// Begins, or goes on at `position`, and reads the head of the answer.
    ///
    /// - Throws: `Refused`; `not-found`, `unavailable`, `source-changed`, `bad-image`.
    private func connect() throws {
        let child = try origin.request(from: position)
        let pipe = try PipeBytes(child.output, name: origin.name)
        current.withLock { $0 = Request(child: child, pipe: pipe) }
        if isCancelled.load(ordering: .acquiring) { cancel() }
        do {
            let response = try readHead(of: pipe, child)
            try accept(response)
        } catch {
            child.stop()
            throw error
        }
    }

    private func readHead(of pipe: PipeBytes, _ child: ChildProgram) throws -> WebResponse {
        var bytes: [UInt8] = []
        let buffer = AlignedBuffer(count: 16 << 10)
        let end = Array("\r\n\r\n".utf8)
        while true {
            if let found = bytes.firstRange(of: end) {
                let head = String(decoding: bytes[..<found.lowerBound], as: UTF8.self)
                bytes.removeSubrange(..<found.upperBound)
                guard let response = WebResponse(head) else {
                    throw FlashlayerError(.unavailable, "\(origin.name) answers what is no HTTP")
                }
                if response.isOnTheWay { continue }
                rest = bytes[...]
                return response
            }
            let count = bytes.count < Self.longestHead ? try unsafe pipe.read(into: buffer.mutableBytes) : 0
            guard count > 0 else {
                let outcome = try child.waitForEnd()
                let said = outcome.errors.split(separator: "\n").last.map { ": \($0)" } ?? ""
                let error = FlashlayerError(
                    .unavailable,
                    "\(origin.name) cannot be received\(said)",
                    advice: "look at the network and at the proxy that is set (http_proxy, https_proxy)"
                )
                throw outcome.status == Self.cannotConnect ? Refused(error: error) : error
            }
            unsafe bytes.append(contentsOf: buffer.bytes[..<count])
        }
    }

    private func accept(_ response: WebResponse) throws {
        switch response.status {
        case 200 where position == 0:
            try origin.confirm(.init(size: response.contentLength, validator: response.validator))
        case 200:
            // Another version, or a server that does not do ranges.
            try origin.confirm(.init(size: response.contentLength, validator: response.validator))
            throw FlashlayerError(
                .badImage,
                "\(origin.name) broke off at byte \(position), and the server cannot go on there",
                advice: "download it first: curl -fLO \(origin.name)"
            )
        case 206:
            guard let range = response.contentRange, range.start == position else { throw origin.changed }
            try origin.confirm(.init(size: range.whole, validator: response.validator))
        case 403 where origin.mayBeAbsent && position == 0:
            throw FlashlayerError(.notFound, "there is no \(origin.name)")
        case 404, 410:
            throw position > 0 ? origin.changed : FlashlayerError(.notFound, "there is no \(origin.name)")
        case 412, 416:
            throw origin.changed
        default:
            throw FlashlayerError(
                .unavailable,
                "\(origin.name) cannot be received: the server answers \(response.status)"
            )
        }
    }
}
