// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model

/// Turns what libguestfs says into what a person can act on.
struct Diagnosis {
    private let space: (size: UInt64, free: UInt64)?

    /// - Parameter space: of the guest's root file system, when it was mounted.
    init(_ space: (size: UInt64, free: UInt64)?) {
        self.space = space
    }

    func error(for error: any Error) -> FlashlayerError {
        if let space, isFull(error, space) {
            return FlashlayerError(
                .guestFull,
                "the guest's root file system is full: \(ByteSize.describe(space.free)) of "
                    + "\(ByteSize.describe(space.size)) are left\(cause(of: error))",
                advice: "make it larger: in flashlayer.toml, [image] size = \"\(larger(space.size))\""
            )
        }
        switch error {
        case let error as FlashlayerError:
            return error
        case let failure as GuestfsHandle.Failure:
            return FlashlayerError(.buildFailed, "the appliance failed: \(failure.message)")
        default:
            return FlashlayerError(.fault, "the builder failed: \(error)")
        }
    }

    static func launchError(_ failure: GuestfsHandle.Failure) -> FlashlayerError {
        FlashlayerError(
            .unavailable,
            "the libguestfs appliance does not start: \(failure.message.firstLine)",
            advice: "run libguestfs-test-tool: it shows what is missing"
        )
    }

    /// What a step says when the disk is full differs from program to program; that nothing is left is certain. Programs
    /// that clean up behind themselves leave some room again: those are believed by their words.
    private func isFull(_ error: any Error, _ space: (size: UInt64, free: UInt64)) -> Bool {
        if let error = error as? GuestfsHandle.Failure, error.errno == ENOSPC { return true }
        let text = (error as? FlashlayerError)?.message ?? (error as? GuestfsHandle.Failure)?.message ?? ""
        let signs = ["No space left on device", "enough free space", "Disk quota exceeded"]
        return signs.contains { text.contains($0) } || space.free < ByteSize.mebibyte
    }

    private func cause(of error: any Error) -> String {
        guard let error = error as? FlashlayerError else { return "" }
        return "; \(error.message)"
    }

    private func larger(_ size: UInt64) -> String {
        let gibibytes = size.roundedUp(to: ByteSize.gibibyte) / ByteSize.gibibyte
        return "\(max(gibibytes + 1, gibibytes * 3 / 2))G"
    }
}
