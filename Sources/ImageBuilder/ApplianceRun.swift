// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
import Glibc
import Layers
import Model
import Programs
import Resolution
import Synchronization

/// One launch of the appliance, in a worker.
struct ApplianceRun: Sendable {
    let job: ApplianceJob
    let log: BuildLog
    enum Phases: Sendable {
        /// The stages are part of something larger.
        case hidden
        /// The stages are phases of the build that a person follows. What went before the first one, since this moment,
        /// belongs to it.
        case shown(since: ContinuousClock.Instant)
    }

    var phases = Phases.hidden
    /// Is told of each copy of the disk that is complete.
    var onCheckpoint: @Sendable (String) -> Void = { _ in }

    /// - Returns: what an `inspect` step found.
    /// - Throws: the worker's own error; `no-space` when this machine's disk fills up meanwhile.
    @discardableResult
    func run() async throws -> GuestFacts? {
        let worker = Worker(try BuilderProgram.find(), arguments: [])
        let answer = Mutex<(facts: GuestFacts?, failure: FlashlayerError?)>((nil, nil))
        let ending = try await SpaceWatch(path: job.temporaryFolder).during {
            let ending = try await worker.run(job, events: ApplianceEvent.self) { line in
                log.tell(.output(source: "builder", line: line))
            } onEvent: { event in
                switch event {
                case .launched(let seconds): log.tell(.activity("the appliance came up in \(seconds.tenths) s"))
                case .emulated(let reason): log.tell(.note("KVM failed (\(reason)); the appliance runs emulated (TCG)"))
                case .started(let phase): started(phase)
                case .finished(let phase, let seconds): finished(phase, seconds)
                case .checkpoint(let path): onCheckpoint(path)
                case .output(let source, let line): log.tell(.output(source: source, line: line))
                case .warning(let text): log.tell(.warning(text))
                case .inspected(let facts): answer.withLock { $0.facts = facts }
                case .failed(let error): answer.withLock { $0.failure = error }
                }
            }
            try Task.checkCancellation()
            return ending
        }
        if let failure = answer.withLock({ $0.failure }) { throw failure }
        guard ending == .ended(0) else {
            throw FlashlayerError(
                .fault,
                "the builder ended without saying why: \(ending)",
                advice: "the build log \(log.path) may say more"
            )
        }
        return answer.withLock { $0.facts }
    }

    private func started(_ phase: Phase) {
        if case .shown = phases { log.tell(.started(phase)) }
    }

    private func finished(_ phase: Phase, _ seconds: Double) {
        guard case .shown(let start) = phases else { return }
        let isFirst = phase == job.stages.first?.phase
        log.tell(.finished(phase, seconds: isFirst ? (ContinuousClock.now - start) / .seconds(1) : seconds))
    }
}

/// Where `flashlayer-builder` is: beside the program that runs, as a build leaves it, or where `make install` puts it.
enum BuilderProgram {
    static func find(environment: [String: String] = ProcessInfo.processInfo.environment) throws -> String {
        if let named = environment["FLASHLAYER_BUILDER"], !named.isEmpty { return named }
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let folder = program.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let places = ["\(folder)/flashlayer-builder", "\(folder)/../libexec/flashlayer/flashlayer-builder"]
        guard let found = places.first(where: { Program.isExecutable($0) }) else {
            throw FlashlayerError(
                .unavailable,
                "the worker flashlayer-builder is neither at \(places.joined(separator: " nor at "))",
                advice:
                    "install both programs (make install), or name it: FLASHLAYER_BUILDER=/path/to/flashlayer-builder"
            )
        }
        return found
    }
}

/// Ends work when a file system of this machine is full. QEMU pauses a guest whose disk cannot grow, and would wait for
/// ever.
struct SpaceWatch: Sendable {
    /// What is left when it is time to stop: a guest writes less than this between two looks.
    private static let reserve = 96 * ByteSize.mebibyte

    let path: String

    /// - Throws: `no-space`, or what `work` throws.
    func during<Result: Sendable>(_ work: @escaping @Sendable () async throws -> Result) async throws -> Result {
        try check()
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                while true {
                    try await Task.sleep(for: .milliseconds(500))
                    try check()
                }
            }
            defer { group.cancelAll() }
            do {
                while let result = try await group.next() {
                    if let result { return result }
                }
                throw CancellationError()
            } catch {
                // A program that found the disk full before we looked says so in its own words.
                if !(error is CancellationError) { try check() }
                throw error
            }
        }
    }

    private func check() throws {
        guard let free = Cache.freeSpace(at: path), free < Self.reserve else { return }
        throw FlashlayerError(
            .noSpace,
            "the disk of this machine that holds \(path) is full: \(ByteSize.describe(free)) are left",
            advice:
                "free some space there (a build of 2 GiB needs about 4 GiB), or use another place: FLASHLAYER_CACHE=/some/folder"
        )
    }
}

extension Double {
    /// With one digit behind the point.
    var tenths: String {
        let value = Int((self * 10).rounded())
        return "\(value / 10).\(value % 10)"
    }
}
