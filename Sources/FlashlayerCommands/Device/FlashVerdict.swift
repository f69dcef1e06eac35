// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Digests
import DiskImages
import Flashing
import Model
import Programs

/// What an engine's result means to the user who asked for the job.
struct FlashVerdict: Sendable {
    let job: FlashJob
    let image: ImageChoice
    /// What the image's digest was when it was made.
    let expected: ImageDigest?

    func of(_ result: FlashResult, for path: String) -> FlashResult {
        var result = result
        if result.result == .cancelled, let error = StandardInput.brokenOff {
            result.result = .fail
            result.error = error
            return result
        }
        if let expected, let found = result.imageDigest, found != expected, result.error == nil {
            result.result = .fail
            result.error = FlashlayerError(
                .sourceChanged,
                "\(path) holds \(image.facts.path) as it is now, which is not what was built",
                advice: "let nothing write to the image, and run the command again"
            )
        }
        guard let error = result.error.map({ Interruption.named($0) }) else { return result }
        result.error = error
        if result.result == .cancelled, job.mode == .write {
            result.error = FlashlayerError(
                error.code,
                result.holdsImage
                    ? "interrupted: \(path) holds the image; what grows its file system, if it was begun, goes on to its end"
                    : result.bytesWritten == 0 && error.message == "interrupted"
                        ? "interrupted: nothing was written to \(path)"
                        : "interrupted: \(path) holds no complete image and no partition table now",
                advice: result.holdsImage
                    ? "leave the disk in until that has ended (until then it is refused, backs-loop); then run the same command again"
                    : "run the same command again"
            )
        } else if image.facts.path == StandardInput.name {
            result.error = FlashlayerError(
                error.code,
                error.message.replacing(image.reference.location, with: "standard input"),
                advice: error.advice,
                offset: error.offset
            )
        }
        return result
    }

    /// The error that ends a command: of several targets one sentence with the worst code, since each has said its own.
    static func worst(of results: [(path: String, result: FlashResult?)], were: String, advice: String?)
        -> FlashlayerError?
    {
        let failures = results.compactMap { path, result in result?.error.map { (path: path, error: $0) } }
        guard let worst = failures.min(by: { rank($0.error.code) < rank($1.error.code) })?.error else { return nil }
        guard results.count > 1 else { return worst }
        let paths = failures.map(\.path).joined(separator: ", ")
        let count =
            failures.count == 1
            ? "1 of \(results.count) targets was" : "\(failures.count) of \(results.count) targets were"
        return FlashlayerError(worst.code, "\(count) \(were): \(paths)", advice: advice)
    }

    /// Lower is worse. Whoever interrupted it knows why it ended.
    private static func rank(_ code: ErrorCode) -> Int {
        let order: [Int32] = [130, 143, 70, 74, 65, 77, 75]
        return order.firstIndex(of: code.exitStatus) ?? order.count
    }
}
