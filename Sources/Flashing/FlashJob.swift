// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
package import Model

/// One image onto one target, as it is given to an engine.
package struct FlashJob: Codable, Sendable {
    package enum Mode: String, Codable, Sendable {
        /// Overwrites the target, and by default reads all of it back.
        case write
        /// Only reads, and compares.
        case verify
    }

    package var mode: Mode
    package var image: String
    /// As the target was when it was chosen and judged.
    package var target: DeviceIdentity
    /// Read back what was written.
    package var verifies: Bool
    /// Without any answer of the device for so many seconds it counts as hung.
    package var timeout: Int

    package init(mode: Mode, image: String, target: DeviceIdentity, verifies: Bool = true, timeout: Int = 120) {
        self.mode = mode
        self.image = image
        self.target = target
        self.verifies = verifies
        self.timeout = timeout
    }
}

/// The stages of a job, in this order.
package enum FlashPhase: String, Codable, Sendable {
    case probe, zero, write, flush, verify, commit, settle
}

/// What an engine says while it works.
package enum FlashEvent: Codable, Sendable {
    case phase(FlashPhase)
    case progress(FlashProgress)
    case warning(String)
    case finished(FlashResult)
}

package struct FlashProgress: Codable, Sendable, Equatable {
    package let phase: FlashPhase
    package let bytesDone: UInt64
    package let bytesTotal: UInt64

    package init(phase: FlashPhase, bytesDone: UInt64, bytesTotal: UInt64) {
        self.phase = phase
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
    }
}

/// How a job ended, for the report and the record.
package struct FlashResult: Codable, Sendable {
    package enum Verdict: String, Codable, Sendable {
        case pass, fail, refused, unchanged, cancelled
    }

    package var result: Verdict
    package var bytesWritten: UInt64 = 0
    package var bytesVerified: UInt64 = 0
    package var chunksRepaired = 0
    /// nil until every chunk was hashed.
    package var imageDigest: ImageDigest?
    package var writeSeconds = 0.0
    package var verifySeconds = 0.0
    package var error: FlashlayerError?

    package init(_ result: Verdict, error: FlashlayerError? = nil) {
        self.result = result
        self.error = error
    }

    /// A job that ended by an error: the code tells a refusal and an interruption from a failure.
    package init(_ error: FlashlayerError) {
        let verdict: Verdict =
            switch error.code.exitStatus {
            case 77, 75, 64: .refused
            case 130, 143: .cancelled
            default: .fail
            }
        self.init(verdict, error: error)
    }
}
