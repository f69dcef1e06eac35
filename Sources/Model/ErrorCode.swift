// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

/// What went wrong, as one word that never changes: it stands in JSON, in `docs/codes.md`, and decides the exit status.
package enum ErrorCode: String, Sendable, CaseIterable {
    // Usage
    case usage

    // Bad input
    case badImage = "bad-image"
    case sourceChanged = "source-changed"
    case digestMismatch = "digest-mismatch"
    case badLayer = "bad-layer"
    case layerCycle = "layer-cycle"
    case layerMissing = "layer-missing"
    case lockDrift = "lock-drift"
    case packagesFailed = "packages-failed"
    case scriptFailed = "script-failed"
    case guestFull = "guest-full"
    case buildFailed = "build-failed"
    case bootFailed = "boot-failed"
    case imagesDiffer = "images-differ"
    case cannotGrow = "cannot-grow"

    // Missing input, missing programs, our own faults
    case notFound = "not-found"
    case unavailable
    case fault

    // Output
    case cannotCreate = "cannot-create"
    case noSpace = "no-space"

    // A target failed under the write
    case ioError = "io-error"
    case verifyFailed = "verify-failed"
    case imageTooLarge = "image-too-large"
    case counterfeit
    case tooSlow = "too-slow"
    case timeout
    case deviceGone = "device-gone"
    case notResponding = "not-responding"
    case growFailed = "grow-failed"

    case busy

    // Refusals of the device gate
    case notBlockDevice = "not-block-device"
    case partition
    case noMedium = "no-medium"
    case readOnly = "read-only"
    case noAnswer = "no-answer"
    case tooSmall = "too-small"
    case systemDisk = "system-disk"
    case mounted
    case swap
    case held
    case inUse = "in-use"
    case backsLoop = "backs-loop"
    case holdsSource = "holds-source"
    case sectorSize = "sector-size"
    case changed
    case ambiguous
    case internalDisk = "internal"
    case virtual
    case member
    case large
    case sizeRange = "size-range"
    case notPermitted = "not-permitted"
    case declined

    case badRecipe = "bad-recipe"
    case badStation = "bad-station"
    case interrupted
    case terminated

    /// The exit status of a program that ends with this code; the numbers are those of sysexits.h where one fits.
    package var exitStatus: Int32 {
        switch self {
        case .usage: 64
        case .badImage, .sourceChanged, .digestMismatch, .badLayer, .layerCycle, .layerMissing, .lockDrift,
            .packagesFailed, .scriptFailed, .guestFull, .buildFailed, .bootFailed, .imagesDiffer, .cannotGrow:
            65
        case .notFound: 66
        case .unavailable: 69
        case .fault: 70
        case .cannotCreate, .noSpace: 73
        case .ioError, .verifyFailed, .imageTooLarge, .counterfeit, .tooSlow, .timeout, .deviceGone, .notResponding,
            .growFailed:
            74
        case .busy: 75
        case .notBlockDevice, .partition, .noMedium, .readOnly, .noAnswer, .tooSmall, .systemDisk, .mounted, .swap,
            .held,
            .inUse, .backsLoop, .holdsSource, .sectorSize, .changed, .ambiguous, .internalDisk, .virtual, .member,
            .large, .sizeRange,
            .notPermitted, .declined:
            77
        case .badRecipe, .badStation: 78
        case .interrupted: 130
        case .terminated: 143
        }
    }
}

extension ErrorCode: Codable {
    /// A code that this version does not know (a worker of another version) is a fault, never a crash.
    package init(from decoder: any Decoder) throws {
        let word = try decoder.singleValueContainer().decode(String.self)
        self = ErrorCode(rawValue: word) ?? .fault
    }
}
