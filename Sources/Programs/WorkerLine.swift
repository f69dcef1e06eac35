// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Model

/// What a worker reads first.
package struct WorkerJob<Job: Sendable>: Sendable {
    package let version: Int
    package let job: Job

    package init(version: Int, job: Job) {
        self.version = version
        self.job = job
    }
}

extension WorkerJob: Encodable where Job: Encodable {}
extension WorkerJob: Decodable where Job: Decodable {}

/// One JSON object on one line, as workers and `--json` speak.
package enum WorkerLine {
    package static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    package static func decode<Value: Decodable>(_ type: Value.Type, from line: String) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(line.utf8))
        } catch {
            throw FlashlayerError(.fault, "a worker said what is not understood: \(line.prefix(200))")
        }
    }
}
