// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
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

    // Every key is always there, null where nothing is known: a reader need not ask twice.

    struct Target: Encodable {
        let path: String
        @Nullable var diskseq: UInt64?
        @Nullable var size: UInt64?
        @Nullable var serial: String?
        @Nullable var vendor: String?
        @Nullable var model: String?
        @Nullable var transport: String?
        @Nullable var port: String?

        init(_ target: ChosenTarget) {
            path = target.path
            diskseq = target.disk?.diskseq
            size = target.disk?.size
            serial = target.disk?.serial
            vendor = target.disk?.vendor
            model = target.disk?.model
            transport = target.disk?.transport.rawValue
            port = target.disk?.port
        }
    }

    struct Image: Encodable {
        let path: String
        let format: String
        @Nullable var size: UInt64?
        @Nullable var tableSectorSize: Int?

        init(_ facts: ImageFacts) {
            path = facts.path
            format = facts.format
            size = facts.size
            tableSectorSize = facts.tableSectorSize
        }
    }

    struct Plan: Encodable {
        let image: Image
        let targets: [Target]
    }

    struct Waiting: Encodable {
        /// As the user named them.
        let targets: [String]
        let secondsLeft: Int
    }

    struct Phase: Encodable {
        let target: String
        let phase: FlashPhase
    }

    struct Progress: Encodable {
        let target: String
        let phase: FlashPhase
        let bytesDone: UInt64
        @Nullable var bytesTotal: UInt64?
        @Nullable var bytesPerSecond: UInt64?

        init(target: String, _ progress: FlashProgress, bytesPerSecond: UInt64?) {
            self.target = target
            phase = progress.phase
            bytesDone = progress.bytesDone
            bytesTotal = progress.bytesTotal
            self.bytesPerSecond = bytesPerSecond
        }
    }

    struct Warning: Encodable {
        let target: String
        let message: String
    }

    /// Something was unmounted from a target, or mounted again.
    struct MountChange: Encodable {
        let target: String
        let mountPoint: String
    }

    struct Failure: Encodable {
        let code: ErrorCode
        let message: String
        @Nullable var offset: UInt64?

        init(_ error: FlashlayerError) {
            code = error.code
            message = error.message
            offset = error.offset
        }
    }

    struct Edit: Encodable {
        let offset: UInt64
        let length: UInt64
        let sha256: Digest
    }

    struct Finished: Encodable {
        let target: String
        let result: FlashResult.Verdict
        let bytesWritten: UInt64
        let bytesVerified: UInt64
        let chunksRepaired: Int
        @Nullable var imageDigest: ImageDigest?
        /// Where the target holds something else than the image, or was cleared behind it.
        let edits: [Edit]
        /// Told apart from the edits: what grew is not the image any more.
        @Nullable var growth: FlashResult.Growth?
        let writeSeconds: Double
        let verifySeconds: Double
        @Nullable var error: Failure?

        init(target: String, _ result: FlashResult) {
            self.target = target
            self.result = result.result
            bytesWritten = result.bytesWritten
            bytesVerified = result.bytesVerified
            chunksRepaired = result.chunksRepaired
            imageDigest = result.imageDigest
            edits = result.edits.map { Edit(offset: $0.offset, length: $0.length, sha256: $0.sha256) }
            growth = result.growth
            writeSeconds = (result.writeSeconds * 1000).rounded() / 1000
            verifySeconds = (result.verifySeconds * 1000).rounded() / 1000
            error = result.error.map(Failure.init)
        }
    }

    struct Summary: Encodable {
        let exitStatus: Int32
        @Nullable var error: Failure?

        /// - Parameter failure: nil when all went well.
        init(_ failure: FlashlayerError?) {
            exitStatus = failure?.code.exitStatus ?? 0
            error = failure.map(Failure.init)
        }
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

/// A value that is written as `null` when there is none, where the compiler would leave the key out.
@propertyWrapper
struct Nullable<Value: Encodable>: Encodable {
    var wrappedValue: Value?

    init(wrappedValue: Value?) {
        self.wrappedValue = wrappedValue
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
    }
}
