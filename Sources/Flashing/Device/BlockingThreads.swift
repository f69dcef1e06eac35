// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import CLinux
import Glibc
import Model
import Threads

/// Requests without io_uring: a few threads, each of which waits for one request at a time. For kernels that have no
/// io_uring, and for containers that forbid it.
final class BlockingThreads: RequestBackend {
    /// As many requests as are in flight at once: enough for the queues of disks that such machines have.
    private static let threadCount = 4

    private let requests = Mailbox<DeviceRequest>(capacity: .max)
    private let completions = Mailbox<DeviceCompletion>(capacity: .max)
    private var prepared: [DeviceRequest] = []

    init() throws {
        for _ in 0..<Self.threadCount {
            _ = try OwnThread(named: "device-request") { [requests, completions] in
                while let request = requests.take() {
                    completions.put(DeviceCompletion(tag: request.tag, result: Self.perform(request)))
                }
            }
        }
    }

    deinit {
        requests.close()
    }

    func prepare(_ request: DeviceRequest) -> Bool {
        prepared.append(request)
        return true
    }

    func submit() {
        for request in prepared { requests.put(request) }
        prepared = []
    }

    func wait(milliseconds: Int) -> DeviceCompletion? {
        completions.take(upTo: .milliseconds(milliseconds))
    }

    private static func perform(_ request: DeviceRequest) -> Int {
        // SAFETY: the caller keeps the buffer until the completion came, and `start` lies inside it.
        let memory = unsafe request.buffer?.mutableBytes.baseAddress.map { unsafe $0 + request.start }
        let result =
            switch request.operation {
            case .read: unsafe pread(request.descriptor, memory, Int(request.count), off_t(request.offset))
            case .write: unsafe pwrite(request.descriptor, memory, Int(request.count), off_t(request.offset))
            case .flush: Int(fsync(request.descriptor))
            case .punchHole:
                Int(
                    flashlayer_fallocate(
                        request.descriptor,
                        flashlayer_punch_hole,
                        off_t(request.offset),
                        off_t(request.count)
                    )
                )
            }
        return result < 0 ? -Int(errno) : result
    }
}
