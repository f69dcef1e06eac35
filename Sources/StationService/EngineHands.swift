// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

package import BlockDevices
import Flashing
package import Model
package import Station
import Synchronization
import Threads

/// The hands of a real station: the device gate, and an engine of its own for each job.
package struct EngineHands: StationHands {
    /// Without any answer of the stick for so many seconds it counts as hung.
    private static let patience = 60

    private let executable: String
    private let inspect: @Sendable () throws -> Inventory
    /// Rules that a test lifts for the devices it made; a station lifts none.
    private let allowed: Set<ErrorCode>

    /// - Parameter executable: the program that has the engine's subcommand.
    package init(executable: String = "/proc/self/exe") {
        self.init(executable: executable, allowed: [])
    }

    /// For tests upon loop devices, which `virtual` refuses.
    package init(
        executable: String,
        allowed: Set<ErrorCode>,
        inspect: @escaping @Sendable () throws -> Inventory = { try Inventory() }
    ) {
        self.executable = executable
        self.allowed = allowed
        self.inspect = inspect
    }

    // MARK: - The gate

    package func judge(_ medium: Medium, for image: PreparedImage) async -> GateVerdict {
        do {
            let refusal = try await onAbandonableThread(named: "judge") { () -> FlashlayerError? in
                let inventory = try inspect()
                let disk = try find(medium, in: inventory)
                let request = WriteRequest(
                    imageSize: image.facts.size,
                    tableSectorSize: image.facts.tableSectorSize,
                    sourceFiles: image.files,
                    allowed: allowed
                )
                return Refusal.error(of: inventory.refusals(of: disk, for: request))
            }
            return refusal.map { .refused($0.code, $0.message) } ?? .passed
        } catch {
            let failure = FlashlayerError(wrapping: error)
            return .refused(failure.code, failure.message)
        }
    }

    /// The disk of a medium, and no other that took its node meanwhile.
    ///
    /// - Throws: `device-gone`, `changed`.
    private func find(_ medium: Medium, in inventory: Inventory) throws -> Disk {
        let disk: Disk
        do {
            disk = try inventory.disk(at: medium.path)
        } catch let error as FlashlayerError where error.code == .notFound {
            throw FlashlayerError(.deviceGone, "it was pulled before it was looked at")
        }
        guard disk.subject.node.sysfsPath == medium.sysfsPath, disk.diskseq == medium.diskSequence,
            disk.size == medium.size
        else { throw FlashlayerError(.changed, "another medium has taken its place at \(medium.path)") }
        return disk
    }

    // MARK: - The engine

    package func holds(
        _ image: PreparedImage,
        _ medium: Medium,
        onProgress: @escaping @Sendable (JobProgress) -> Void
    ) async -> Bool {
        // A disk that is larger has its table at other places than the image: verifying knows that.
        let report = await run(.verify, image, medium, onProgress)
        return report.outcome == .passed
    }

    package func write(
        _ image: PreparedImage,
        to medium: Medium,
        onProgress: @escaping @Sendable (JobProgress) -> Void
    ) async -> JobReport {
        await run(.write, image, medium, onProgress)
    }

    private func run(
        _ mode: FlashJob.Mode,
        _ image: PreparedImage,
        _ medium: Medium,
        _ onProgress: @escaping @Sendable (JobProgress) -> Void
    ) async -> JobReport {
        let identity: DeviceIdentity
        do {
            try image.confirmUnchanged()
            identity = try await onAbandonableThread(named: "find-medium") {
                try find(medium, in: inspect()).identity
            }
        } catch {
            return Self.report(FlashResult(FlashlayerError(wrapping: error)))
        }
        var job = FlashJob(mode: mode, image: image.reference, targets: [.device(identity)])
        job.timeout = Self.patience
        let phase = Mutex(JobPhase.writing)
        let results = await EngineProcess(executable: executable).run(job) { event in
            guard case .progress(let progress) = event.event else { return }
            let stage: JobPhase = [.verify, .repair, .commit, .settle].contains(progress.phase) ? .verifying : .writing
            phase.withLock { $0 = stage }
            onProgress(JobProgress(stage, done: progress.bytesDone, total: progress.bytesTotal))
        }
        guard let result = results.first else { return JobReport(.failed(.fault, "the engine said nothing")) }
        if mode == .write, result.result == .pass, let found = result.imageDigest, found != image.digest {
            return JobReport(.failed(.sourceChanged, "the image is not the one that was armed"))
        }
        return Self.report(result)
    }

    private static func report(_ result: FlashResult) -> JobReport {
        let outcome: JobOutcome =
            switch result.result {
            case .pass: .passed
            case .unchanged: .alreadyDone
            case .cancelled: .cancelled
            case .fail, .refused: .failed(result.error?.code ?? .fault, result.error?.message ?? "it failed")
            }
        var report = JobReport(outcome)
        report.figures.written = result.bytesWritten
        report.figures.verified = result.bytesVerified
        report.figures.writeSeconds = result.writeSeconds
        report.figures.verifySeconds = result.verifySeconds
        report.figures.chunksRepaired = result.chunksRepaired
        return report
    }

    /// What was written was flushed by its engine. A stick stays powered: its port is root's to switch.
    package func eject(_ medium: Medium) async {}
}
