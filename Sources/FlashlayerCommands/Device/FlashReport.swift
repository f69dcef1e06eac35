// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Digests
import DiskImages
import Flashing
import FoundationEssentials
import Model

/// What `--report` leaves of a job. Keys are part of the contract with whoever reads it; each is always there, null
/// where nothing is known.
struct FlashReport: Encodable {
    struct Image: Encodable {
        @Nullable var path: String?
        @Nullable var format: String?
        @Nullable var size: UInt64?
        @Nullable var imageDigest: ImageDigest?
        /// Of the file as it is stored, where the user gave it.
        @Nullable var sha256: Digest?
    }

    struct Target: Encodable {
        let path: String
        @Nullable var diskseq: UInt64?
        @Nullable var size: UInt64?
        @Nullable var vendor: String?
        @Nullable var model: String?
        @Nullable var serial: String?
        @Nullable var transport: String?
        @Nullable var port: String?
        @Nullable var result: FlashResult.Verdict?
        let bytesWritten: UInt64
        let bytesVerified: UInt64
        let writeSeconds: Double
        let verifySeconds: Double
        @Nullable var writeBytesPerSecond: UInt64?
        @Nullable var verifyBytesPerSecond: UInt64?
        let chunksRepaired: Int
        @Nullable var imageDigest: ImageDigest?
        let edits: [FlashRecord.Edit]
        @Nullable var growth: FlashResult.Growth?
        @Nullable var error: FlashRecord.Failure?

        init(path: String, _ found: ChosenTarget?, _ result: FlashResult?) {
            let disk = found?.disk
            let finished = FlashRecord.Finished(target: path, result ?? FlashResult(.cancelled))
            self.path = path
            diskseq = disk?.diskseq
            size = disk?.size
            vendor = disk?.vendor
            model = disk?.model
            serial = disk?.serial
            transport = disk?.transport.rawValue
            port = disk?.port
            self.result = finished.result
            bytesWritten = finished.bytesWritten
            bytesVerified = finished.bytesVerified
            writeSeconds = finished.writeSeconds
            verifySeconds = finished.verifySeconds
            writeBytesPerSecond = Self.rate(finished.bytesWritten, finished.writeSeconds)
            verifyBytesPerSecond = Self.rate(finished.bytesVerified, finished.verifySeconds)
            chunksRepaired = finished.chunksRepaired
            imageDigest = finished.imageDigest
            edits = finished.edits
            growth = finished.growth
            error = finished.error
        }

        private static func rate(_ bytes: UInt64, _ seconds: Double) -> UInt64? {
            seconds > 0 && bytes > 0 ? UInt64(Double(bytes) / seconds) : nil
        }
    }

    let schema = FlashRecord.schema
    let version = Version.string
    let command: String
    let image: Image
    let start: String
    let end: String
    let targets: [Target]
    let exitStatus: Int32

    /// - Parameter size: of the raw content, in bytes, as its end told it.
    init(
        command: String,
        imageName: String?,
        image: ImageChoice?,
        size: UInt64?,
        start: Date,
        targets: [Target],
        exitStatus: Int32
    ) {
        self.command = command
        self.image = Image(
            path: imageName,
            format: image?.facts.format,
            size: image?.facts.size ?? size,
            imageDigest: targets.lazy.compactMap(\.imageDigest).first,
            sha256: image?.reference.sha256
        )
        self.start = start.formatted(.iso8601)
        end = Date().formatted(.iso8601)
        self.targets = targets
        self.exitStatus = exitStatus
    }
}
