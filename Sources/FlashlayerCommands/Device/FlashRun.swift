// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import Digests
import DiskImages
import Flashing
import Model
import Threads

/// The course of one write, shared by every command that writes: judge, ask, hand to an engine, report.
struct FlashRun: Sendable {
    let options: FlashOptions
    let console: Console

    /// The device gate: every rule is asked, and all that is wrong is said at once.
    ///
    /// - Parameters:
    ///   - image: what will be written; nil while it is not built yet.
    ///   - expectedSize: bytes, where the image is not there but its size is known.
    ///   - files: what must outlive the write.
    /// - Throws: the first refusal.
    func judge(
        _ target: String,
        image: ImageFacts? = nil,
        expectedSize: UInt64? = nil,
        files: [String]
    ) async throws -> Disk {
        let request = WriteRequest(
            imageSize: image?.size ?? expectedSize,
            tableSectorSize: image?.tableSectorSize,
            sourceFiles: files,
            allowed: try options.allowed()
        )
        let disk: Disk
        let refusals: [Refusal]
        do {
            (disk, refusals) = try await onAbandonableThread(named: "judge") {
                let inventory = try Inventory()
                let disk = try inventory.disk(at: target)
                return (disk, inventory.refusals(of: disk, for: request))
            }
        } catch let error as FlashlayerError {
            // What is no disk at all is a target all the same to whoever reads the lines.
            throw refused(target, error)
        }
        guard let first = refusals.first else { return disk }
        for refusal in refusals.dropFirst() {
            console.warn("\(refusal.message): \(refusal.evidence) [\(refusal.code.rawValue)]")
        }
        throw refused(disk.path, first.error)
    }

    /// A disk that is only read: no rule is asked.
    static func find(_ target: String, json: Bool) async throws -> Disk {
        do {
            return try await onAbandonableThread(named: "find-disk") { try Inventory().disk(at: target) }
        } catch let error as FlashlayerError {
            throw refused(target, error, json: json)
        }
    }

    private func refused(_ target: String, _ error: FlashlayerError) -> FlashlayerError {
        Self.refused(target, error, json: options.engine.json)
    }

    /// Says how it ended for a target for which nothing was started.
    private static func refused(_ target: String, _ error: FlashlayerError, json: Bool) -> FlashlayerError {
        if json {
            Console.answer(FlashRecord.line("finished", FlashRecord.Finished(target: target, FlashResult(error))))
        }
        return error
    }

    /// Asks at the terminal unless `--yes` was given.
    func confirm(_ disk: Disk) throws {
        if options.yes { return }
        do {
            try Confirmation(console).ask(for: disk)
        } catch {
            throw refused(disk.path, FlashlayerError(wrapping: error))
        }
    }

    /// Writes, reads back, and says how it went.
    ///
    /// - Parameter expected: what the image's digest was when it was made; nil when nobody knows.
    /// - Throws: the error of the result.
    func write(_ image: ImageFacts, to disk: Disk, expecting expected: ImageDigest? = nil) async throws {
        // Whoever was interrupted while the disk was looked at does not want it written.
        try Task.checkCancellation()
        var job = FlashJob(mode: .write, image: ImageReference(image.path), targets: [.device(disk.identity)])
        job.verifies = !options.skipsVerify
        job.timeout = options.engine.timeout
        let result = try await Self.run(job, image, disk, json: options.engine.json, console)
        if let expected, let found = result.imageDigest, found != expected {
            throw FlashlayerError(
                .sourceChanged,
                "\(disk.path) holds \(image.path) as it is now, which is not what was built",
                advice: "let nothing write to the image, and run the command again"
            )
        }
        let digest = result.imageDigest.map { ", \($0)" } ?? ""
        console.say(
            console.style("\(disk.path) holds the image", .green)
                + (options.skipsVerify ? "; not verified" : ", every byte read back\(digest)")
        )
    }

    /// Gives a job to an engine and reports its course.
    static func run(
        _ job: FlashJob,
        _ image: ImageFacts,
        _ disk: Disk,
        json: Bool,
        _ console: Console
    ) async throws -> FlashResult {
        let reporter = FlashReporter(target: disk.path, json: json, console: console)
        if json {
            let target = FlashRecord.Target(
                path: disk.path,
                diskseq: disk.diskseq,
                size: disk.size,
                serial: disk.serial,
                vendor: disk.vendor,
                model: disk.model
            )
            reporter.emit("plan", FlashRecord.Plan(image: FlashRecord.Image(image), targets: [target]))
        }
        let heartbeat = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                reporter.heartbeat()
            }
        }
        defer { heartbeat.cancel() }
        let results = await EngineProcess().run(job) { line in
            console.warn("engine: \(line)")
        } onEvent: { event in
            reporter.report(event.event)
        }
        let result = results[0]
        reporter.finish(result)
        if let error = result.error {
            if result.result == .cancelled, job.mode == .write {
                throw FlashlayerError(
                    error.code,
                    result.bytesWritten == 0 && error.message == "interrupted"
                        ? "interrupted: nothing was written to \(disk.path)"
                        : "interrupted: \(disk.path) holds no complete image and no partition table now",
                    advice: "run the same command again"
                )
            }
            throw error
        }
        return result
    }
}
