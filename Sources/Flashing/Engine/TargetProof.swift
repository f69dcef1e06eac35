// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Digests
import DiskImages
import Model

/// What was written is read back, and written once more where it is wrong.
extension TargetRun {
    func verify(
        _ target: OpenTarget,
        _ claim: borrowing Claim,
        _ written: (ends: ImageEnds, imageSize: UInt64),
        _ result: inout FlashResult
    ) throws {
        let start = ContinuousClock.now
        try claim.confirm()
        let pass = verifyPass(target, ends: .withheld(written.ends))
        var digests = try trusted ?? image.digests?.finish(imageSize: written.imageSize)
        let outcome: VerifyPass.Outcome
        if let digests {
            outcome = try pass.run(.digests(digests, imageSize: written.imageSize))
        } else {
            let hashed = ChunkDigests(on: image.workers)
            outcome = try pass.run(try reread(into: hashed))
            digests = try hashed.finish(imageSize: written.imageSize)
        }
        result.bytesVerified = outcome.bytesVerified
        result.verifySeconds = start.elapsed
        if !outcome.mismatches.isEmpty, let digests {
            result.chunksRepaired = try repair(outcome.mismatches, pass, written, digests, &result)
            result.verifySeconds = start.elapsed
        }
        if let digests { result.imageDigest = try digests.imageDigest }
    }

    func verifyPass(_ target: OpenTarget, ends: VerifyPass.Ends) -> VerifyPass {
        let holes = job.holes == .skip ? image.seekable?.chunksWithData : nil
        return VerifyPass(
            target: target,
            buffers: image.share(),
            workers: image.workers,
            ends: ends,
            skipped: { index in holes.map { !$0[index] } ?? false }
        )
    }

    private func reread(into digests: ChunkDigests) throws -> VerifyPass.Reference {
        let feed = try ReadingPass(image.source, pool: image.readPool).onlyFeed(hashingInto: digests)
        return .image(feed, imageSize: image.size) { _ in
            throw FlashlayerError(.fault, "the only reader of an image was put off")
        }
    }

    /// - Returns: how many chunks were repaired.
    /// - Throws: `verify-failed`, `counterfeit`; `source-changed` and `digest-mismatch` where the image is to blame.
    private func repair(
        _ found: [Mismatch],
        _ pass: VerifyPass,
        _ written: (ends: ImageEnds, imageSize: UInt64),
        _ digests: ChunkDigestList,
        _ result: inout FlashResult
    ) throws -> Int {
        var mismatches = found
        let count = Set(found.map(\.chunk)).count
        for round in 0...job.repairs {
            // A source that was written to in the meantime explains every difference.
            try image.source.confirmUnchanged()
            let writes = round < job.repairs && mismatches.count <= RepairPass.limit
            if image.isRepeatable {
                let isAliased = try aliased(mismatches, pass.target)
                let repairing = RepairPass(
                    target: pass.target,
                    image: image,
                    ends: written.ends,
                    trusted: trusted
                )
                // Of many, a few are looked at: they may be the image's fault.
                let few = Array(mismatches.prefix(RepairPass.limit))
                let (known, bytes) = try repairing.run(few, writes: writes && !isAliased)
                result.bytesWritten += bytes
                mismatches = known + mismatches.dropFirst(RepairPass.limit)
                if isAliased { mismatches[0].kind = .aliased }
            }
            guard image.isRepeatable, writes, mismatches.first?.kind != .aliased else { break }
            try pass.target.flush()
            let again = try pass.run(
                .digests(digests, imageSize: written.imageSize),
                phase: .verify,
                only: Set(mismatches.map(\.chunk))
            )
            if again.mismatches.isEmpty { return count }
            mismatches = again.mismatches
        }
        guard let first = mismatches.first else { return count }
        throw FlashlayerError(
            first.kind == .aliased ? .counterfeit : .verifyFailed,
            first.sentence(target.path, count: mismatches.count),
            advice: first.kind == .aliased
                ? "it has less room than it claims; do not use it"
                : "try another port or cable; a device that fails again is worn out",
            offset: first.offset
        )
    }

    /// Whether the target has another part of the image where the first wrong chunk belongs.
    private func aliased(_ mismatches: [Mismatch], _ target: OpenTarget) throws -> Bool {
        guard let source = image.seekable, let first = mismatches.first(where: { $0.kind != .zeroed }) else {
            return false
        }
        return try AliasSearch(source: source, target: target).finds(at: first)
    }
}
