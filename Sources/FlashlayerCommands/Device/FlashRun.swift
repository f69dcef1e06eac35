// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import BlockDevices
import DiskImages
import Flashing
import Model

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
    ) throws -> Disk {
        let request = WriteRequest(
            imageSize: image?.size ?? expectedSize,
            tableSectorSize: image?.tableSectorSize,
            sourceFiles: files,
            allowed: try options.allowed()
        )
        let inventory = try Inventory()
        let disk: Disk
        do {
            disk = try inventory.disk(at: target)
        } catch let error as FlashlayerError {
            // What is no disk at all is a target all the same to whoever reads the lines.
            throw refused(target, error)
        }
        let refusals = inventory.refusals(of: disk, for: request)
        guard let first = refusals.first else { return disk }
        for refusal in refusals.dropFirst() {
            console.warn("\(refusal.message): \(refusal.evidence) [\(refusal.code.rawValue)]")
        }
        throw refused(disk.path, first.error)
    }

    /// Says how it ended for a target for which nothing was started.
    private func refused(_ target: String, _ error: FlashlayerError) -> FlashlayerError {
        if options.engine.json {
            Console.answer(FlashRecord.line("finished", FlashRecord.Finished(target: target, FlashResult(error))))
        }
        return error
    }

    /// Asks at the terminal unless `--yes` was given.
    func confirm(_ disk: Disk) throws {
        if options.yes { return }
        try Confirmation(console).ask(for: disk)
    }

    /// Writes, reads back, and says how it went.
    ///
    /// - Throws: the error of the result.
    func write(_ image: ImageFacts, to disk: Disk) async throws {
        let job = FlashJob(
            mode: .write,
            image: image.path,
            target: disk.identity,
            verifies: !options.skipsVerify,
            timeout: options.engine.timeout
        )
        let result = try await Self.run(job, image, disk, json: options.engine.json, console)
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
            reporter.emit("plan", FlashRecord.Plan(image: image, targets: [target]))
        }
        let heartbeat = Task {
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                reporter.heartbeat()
            }
        }
        defer { heartbeat.cancel() }
        let result = await EngineProcess().run(job) { line in
            console.warn("engine: \(line)")
        } onEvent: { event in
            reporter.report(event)
        }
        reporter.finish(result)
        if let error = result.error {
            if result.result == .cancelled, job.mode == .write {
                throw FlashlayerError(
                    error.code,
                    "interrupted: \(disk.path) holds no complete image and no partition table now",
                    advice: "run the same command again"
                )
            }
            throw error
        }
        return result
    }

    /// Runs a command whose last JSON line says how it ended, also when nothing was started.
    static func summarised(json: Bool, _ body: () async throws -> Void) async throws {
        guard json else { return try await body() }
        do {
            try await body()
            Console.answer(FlashRecord.line("summary", FlashRecord.Summary(exitStatus: 0, error: nil)))
        } catch {
            let failure = FlashlayerError(wrapping: error)
            let summary = FlashRecord.Summary(
                exitStatus: failure.code.exitStatus,
                error: FlashRecord.Failure(failure)
            )
            Console.answer(FlashRecord.line("summary", summary))
            throw failure
        }
    }
}
