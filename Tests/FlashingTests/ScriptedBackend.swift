// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc

@testable import Flashing

/// Answers each request as it was told to, in the order they came: what a kernel may do and seldom does.
final class ScriptedBackend: RequestBackend {
    /// The result of the next request; what is not scripted succeeds in full.
    var script: [Int]
    /// Which requests, counted from 0, find nothing at their place in a file.
    var sourceFaults: Set<Int> = []
    /// Every request that reached the kernel: offset and bytes.
    private(set) var requests: [DeviceRequest] = []
    private var prepared: [DeviceRequest] = []
    private var completions: [DeviceCompletion] = []

    init(_ script: [Int] = []) {
        self.script = script
    }

    func prepare(_ request: DeviceRequest) -> Bool {
        prepared.append(request)
        return true
    }

    func submit() {
        for request in prepared {
            let isSourceFault = sourceFaults.contains(requests.count)
            requests.append(request)
            let result = script.isEmpty ? Int(request.count) : script.removeFirst()
            completions.append(DeviceCompletion(tag: request.tag, result: result, isSourceFault: isSourceFault))
        }
        prepared = []
    }

    func wait(milliseconds: Int) -> DeviceCompletion? {
        completions.isEmpty ? nil : completions.removeFirst()
    }
}

/// A device that takes requests and completes none.
final class SilentBackend: RequestBackend {
    func prepare(_ request: DeviceRequest) -> Bool { true }
    func submit() {}
    func wait(milliseconds: Int) -> DeviceCompletion? {
        usleep(20_000)
        return nil
    }
}
