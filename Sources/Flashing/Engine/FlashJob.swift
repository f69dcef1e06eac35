// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import Digests
package import DiskImages
package import Model

/// One image onto one or many targets, as it is given to an engine.
package struct FlashJob: Codable, Sendable {
    package enum Mode: String, Codable, Sendable {
        /// Overwrites the targets, and by default reads all of it back.
        case write
        /// Only reads, and compares.
        case verify
    }

    /// What is written of an image that the target may carry in part already.
    package enum Rewrite: String, Codable, Sendable {
        /// Samples tell where comparing first is cheaper than writing.
        case sampled
        /// Everything is compared first; only what differs is written.
        case onlyChanged
        /// Everything is written.
        case full
    }

    package enum Holes: String, Codable, Sendable {
        /// They read as zeros afterwards.
        case zero
        /// They keep what the target has there.
        case skip
    }

    /// What becomes of the partition table on a disk that is larger than the image.
    package enum TableChoice: String, Codable, Sendable {
        /// A GPT gets its backup at the end of the disk; what is older is cleared behind the image.
        case relocate
        /// The disk has exactly what the image has.
        case keep
    }

    package enum Target: Codable, Sendable, Equatable {
        /// As it was when it was chosen and judged.
        case device(DeviceIdentity)
        /// Takes everything and keeps nothing.
        case null

        package var path: String {
            switch self {
            case .device(let identity): identity.path
            case .null: "null:"
            }
        }
    }

    package var mode: Mode
    package var image: ImageReference
    package var targets: [Target]
    /// Read back what was written.
    package var verifies = true
    package var rewrite = Rewrite.sampled
    package var holes = Holes.zero
    package var table = TableChoice.relocate
    /// The GPT gets new GUIDs for the disk and its partitions.
    package var newGUIDs = false
    /// The last partition and its file system go on to the end of the disk.
    package var grows = false
    /// How often chunks that were read back wrong are written once more.
    package var repairs = 1
    /// Without any answer of the device for so many seconds it counts as hung.
    package var timeout = 120

    package init(mode: Mode, image: ImageReference, targets: [Target]) {
        self.mode = mode
        self.image = image
        self.targets = targets
    }
}

/// The stages of a job, in this order.
package enum FlashPhase: String, Codable, Sendable {
    case probe, compare, zero, write, flush, verify, repair, commit, grow, settle
}

/// What an engine says of one target while it works.
package enum FlashEvent: Codable, Sendable {
    case phase(FlashPhase)
    case progress(FlashProgress)
    case warning(String)
    /// From here on the target is not as it was.
    case touched
    /// It waits for the device, or for the image, and is in command of itself.
    case alive
    case finished(FlashResult)
}

/// An event, and the target that it is about: its index in the job.
package struct TargetEvent: Codable, Sendable {
    package let target: Int
    package let event: FlashEvent

    package init(target: Int, _ event: FlashEvent) {
        self.target = target
        self.event = event
    }
}

package struct FlashProgress: Codable, Sendable, Equatable {
    package let phase: FlashPhase
    package let bytesDone: UInt64
    /// nil for a stream whose end is not known.
    package let bytesTotal: UInt64?

    package init(phase: FlashPhase, bytesDone: UInt64, bytesTotal: UInt64?) {
        self.phase = phase
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
    }
}

/// How a job ended for one target, for the report and the record.
package struct FlashResult: Codable, Sendable {
    package enum Verdict: String, Codable, Sendable {
        case pass, fail, refused, unchanged, cancelled
    }

    /// A range of the target where it holds something else than the image, or that lies behind it and was cleared.
    package struct Edit: Codable, Sendable, Equatable {
        /// On the target, in bytes.
        package let offset: UInt64
        /// Bytes.
        package let length: UInt64
        /// Of what the target has there.
        package let sha256: Digest
    }

    /// What became of the last partition when the rest was proved.
    package struct Growth: Codable, Sendable, Equatable {
        /// Its number.
        package let partition: Int
        /// Of the partition, in bytes.
        package let from: UInt64
        package let to: UInt64
        /// "ext4", "xfs", "btrfs".
        package let fileSystem: String
        package let seconds: Double

        package init(partition: Int, from: UInt64, to: UInt64, fileSystem: String, seconds: Double) {
            self.partition = partition
            self.from = from
            self.to = to
            self.fileSystem = fileSystem
            self.seconds = seconds
        }
    }

    package var result: Verdict
    /// Bytes of raw content; nil until they are known.
    package var imageSize: UInt64?
    package var bytesWritten: UInt64 = 0
    package var bytesVerified: UInt64 = 0
    package var chunksRepaired = 0
    /// nil until every chunk was hashed.
    package var imageDigest: ImageDigest?
    package var writeSeconds = 0.0
    package var verifySeconds = 0.0
    /// In the order of their places; empty before the end, and where nothing is edited.
    package var edits: [Edit] = []
    /// Nil where nothing grew.
    package var growth: Growth?
    /// The target has the whole image and its table, whatever failed afterwards.
    package var holdsImage = false
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
