// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import Flashing
import FoundationEssentials
import Model
import Programs

/// The lines of `write --json` and `verify --json`. Keys are part of the contract with whoever reads them.
enum FlashRecord {
    static let schema = 1

    struct Head: Encodable {
        let schema = FlashRecord.schema
        let time = Date().formatted(.iso8601)
        let event: String
    }

    struct Target: Encodable {
        let path: String
        let diskseq: UInt64?
        let size: UInt64
        let serial: String?
        let vendor: String?
        let model: String?
    }

    struct Plan: Encodable {
        let image: ImageFacts
        let targets: [Target]
    }

    struct Phase: Encodable {
        let target: String
        let phase: FlashPhase
    }

    struct Progress: Encodable {
        let target: String
        let phase: FlashPhase
        let bytesDone: UInt64
        let bytesTotal: UInt64?
        let bytesPerSecond: UInt64?
    }

    struct Warning: Encodable {
        let target: String
        let message: String
    }

    struct Failure: Encodable {
        let code: ErrorCode
        let message: String
        let offset: UInt64?

        init(_ error: FlashlayerError) {
            code = error.code
            message = error.message
            offset = error.offset
        }
    }

    struct Finished: Encodable {
        let target: String
        let result: FlashResult.Verdict
        let bytesWritten: UInt64
        let bytesVerified: UInt64
        let chunksRepaired: Int
        let imageDigest: ImageDigest?
        let writeSeconds: Double
        let verifySeconds: Double
        let error: Failure?

        init(target: String, _ result: FlashResult) {
            self.target = target
            self.result = result.result
            bytesWritten = result.bytesWritten
            bytesVerified = result.bytesVerified
            chunksRepaired = result.chunksRepaired
            imageDigest = result.imageDigest
            writeSeconds = (result.writeSeconds * 1000).rounded() / 1000
            verifySeconds = (result.verifySeconds * 1000).rounded() / 1000
            error = result.error.map(Failure.init)
        }

        enum CodingKeys: CodingKey {
            case target, result, bytesWritten, bytesVerified, chunksRepaired, imageDigest, writeSeconds, verifySeconds
            case error
        }

        /// `error` and `imageDigest` are there even when they are null.
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(target, forKey: .target)
            try container.encode(result, forKey: .result)
            try container.encode(bytesWritten, forKey: .bytesWritten)
            try container.encode(bytesVerified, forKey: .bytesVerified)
            try container.encode(chunksRepaired, forKey: .chunksRepaired)
            try container.encode(imageDigest, forKey: .imageDigest)
            try container.encode(writeSeconds, forKey: .writeSeconds)
            try container.encode(verifySeconds, forKey: .verifySeconds)
            try container.encode(error, forKey: .error)
        }
    }

    struct Summary: Encodable {
        let exitStatus: Int32
        let error: Failure?
    }

    /// One line: `schema`, `time`, `event`, and the keys of the body beside them.
    struct Line<Body: Encodable>: Encodable {
        let head: Head
        let body: Body

        func encode(to encoder: any Encoder) throws {
            try head.encode(to: encoder)
            try body.encode(to: encoder)
        }
    }

    static func line(_ event: String, _ body: some Encodable) -> String {
        // Encoding plain values does not fail; a line that did would be worse than none.
        (try? WorkerLine.encode(Line(head: Head(event: event), body: body))) ?? ""
    }
}
