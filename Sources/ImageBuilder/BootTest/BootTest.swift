// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import FoundationEssentials
import Glibc
import Layers
package import Model
import Programs
package import Resolution

/// Boots a disk in QEMU and lets it say how it is. Only a throwaway overlay is written to: the image or device itself is
/// opened for reading.
package struct BootTest: Sendable {
    package enum Firmware: String, Sendable, CaseIterable, Codable {
        case bios
        case uefi
        /// UEFI that starts nothing but what Microsoft's keys have signed, as most PCs are delivered.
        case secureBoot = "secure-boot"
    }

    package struct Outcome: Sendable {
        package let firmware: Firmware
        package let seconds: Double
        /// nil: nothing was heard of it in time.
        package let report: BootReport?
        /// What the serial console printed, when the boot did not pass.
        package let consoleLog: String?
        /// nil: passed.
        package let error: FlashlayerError?
    }

    /// An image file or a block device.
    package let path: String
    package var firmware: [Firmware]
    /// For each boot. nil: 2 minutes, or 10 where machines are emulated.
    package var timeLimit: Duration?
    /// Shell text that is run in the guest once it is up; one that fails fails the test.
    package var checks: [String]

    package init(_ path: String, firmware: [Firmware], timeLimit: Duration? = nil, checks: [String] = []) {
        self.path = path
        self.firmware = firmware
        self.timeLimit = timeLimit
        self.checks = checks
    }

    /// - Parameter log: is told what goes on.
    /// - Returns: one outcome for each firmware, in order.
    /// - Throws: when the test cannot be made: no such image, a program is missing.
    package func run(cache: Cache, observer: @escaping BuildObserver) async throws -> [Outcome] {
        let path = try Self.absolute(path)
        let format = try Self.format(of: path)
        let machines = try firmware.map { try VirtualMachine(firmware: $0) }
        try HostCheck.appliance()
        let accelerator = try await HostAccelerator.find()
        if let note = accelerator.note { observer(.note(note)) }
        let work = try await WorkFolder.make(in: cache)
        do {
            let log = try BuildLog(path: work.file("log"), observer: observer)
            let outcomes = try await run(path, format, machines, accelerator.accelerator, work, log)
            await work.remove()
            return outcomes
        } catch {
            await work.remove()
            throw error
        }
    }

    private func run(
        _ path: String,
        _ format: String,
        _ machines: [VirtualMachine],
        _ accelerator: Accelerator,
        _ work: WorkFolder,
        _ log: BuildLog
    ) async throws -> [Outcome] {
        log.tell(.activity("preparing a throwaway copy of \(path)"))
        let prepared = work.file("prepared.qcow2")
        try await QEMU.image().run(["create", "-q", "-f", "qcow2", "-b", path, "-F", format, prepared])
        let temporary = work.file("appliance")
        try Cache.makeFolder(temporary)
        let job = ApplianceJob(
            drives: [.init(path: prepared, format: "qcow2", readOnly: false)],
            accelerator: accelerator,
            network: false,
            temporaryFolder: temporary,
            stages: [.init(.finish, [.inspect, .mountFound] + BootTestSteps.steps(checks: checks) + [.unmount])]
        )
        try await ApplianceRun(job: job, log: log).run()
        var outcomes: [Outcome] = []
        for machine in machines {
            log.tell(.activity("booting by \(machine.firmware.title)"))
            outcomes.append(try await boot(prepared, machine, accelerator, work, log))
        }
        return outcomes
    }

    private func boot(
        _ prepared: String,
        _ machine: VirtualMachine,
        _ accelerator: Accelerator,
        _ work: WorkFolder,
        _ log: BuildLog
    ) async throws -> Outcome {
        let name = machine.firmware.rawValue
        let disk = work.file("\(name).qcow2")
        try await QEMU.image().run(["create", "-q", "-f", "qcow2", "-b", prepared, "-F", "qcow2", disk])
        let files = VirtualMachine.Files(
            disk: disk,
            variables: work.file("\(name).vars"),
            console: work.file("\(name).console"),
            report: work.file("\(name).report")
        )
        let arguments = try machine.arguments(accelerator: accelerator, files: files)
        let limit = timeLimit ?? (accelerator == .kvm ? .seconds(120) : .seconds(600))
        let start = ContinuousClock.now
        let outcome = try await SpaceWatch(path: work.path).during {
            try await withTimeLimit(limit) { try await Self.runUntilReported(arguments, files.report) }
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let report = BootReport(Self.text(of: files.report), commands: checks)
        guard let complaint = Self.complaint(report, machine.firmware, outcome, limit) else {
            return Outcome(firmware: machine.firmware, seconds: seconds, report: report, consoleLog: nil, error: nil)
        }
        let console = try keep(files.console, name)
        let lines = report == nil ? Self.lastLines(of: files.console) : ""
        let error = FlashlayerError(
            .bootFailed,
            "\(path) did not come up well by \(machine.firmware.title): \(complaint)\(lines)",
            advice: "its console is in \(console)"
        )
        return Outcome(
            firmware: machine.firmware,
            seconds: seconds,
            report: report,
            consoleLog: console,
            error: error
        )
    }

    /// Ends when QEMU does, or a few seconds after the report is complete: the guest's last act is to switch itself off,
    /// but nothing hangs on that.
    private static func runUntilReported(_ arguments: [String], _ report: String) async throws -> Program.Outcome? {
        try await withThrowingTaskGroup(of: Program.Outcome?.self) { group in
            group.addTask { try await QEMU.program().outcome(arguments) }
            group.addTask {
                while BootReport(text(of: report), commands: []) == nil {
                    try await Task.sleep(for: .milliseconds(500))
                }
                try await Task.sleep(for: .seconds(5))
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    private static func complaint(
        _ report: BootReport?,
        _ firmware: Firmware,
        _ outcome: Program.Outcome??,
        _ limit: Duration
    ) -> String? {
        if let report {
            let expected = firmware == .bios ? "bios" : "uefi"
            guard report.firmware == expected else { return "it started by \(report.firmware)" }
            return report.complaint
        }
        guard let ended = outcome else { return "it said nothing within \(limit.components.seconds) s" }
        guard let ended, ended.status != 0 else { return "it switched itself off before it was up" }
        return "QEMU ended with status \(ended.status): \(ended.errors)"
    }

    private func keep(_ console: String, _ name: String) throws -> String {
        let folder = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let kept = "\(folder)/flashlayer-boot-test-\(name)-\(getpid()).log"
        try HostFile.write(Self.text(of: console), to: kept)
        OutputOwner.adopt(kept)
        return kept
    }

    private static func lastLines(of console: String) -> String {
        let lines = text(of: console).split(whereSeparator: \.isNewline).map { line in
            String(line.unicodeScalars.filter { $0.value >= 32 }.map(Character.init))
        }
        let last = lines.filter { !$0.isEmpty }.suffix(8)
        return last.isEmpty
            ? "; its console stayed silent" : "; the last lines of its console:\n  " + last.joined(separator: "\n  ")
    }

    private static func text(of path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func absolute(_ path: String) throws -> String {
        guard let resolved = unsafe realpath(path, nil) else {
            throw FlashlayerError.system("open the image \(path)", .current, code: .notFound)
        }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    /// A device is raw whatever stands on it; a file is what its content says.
    private static func format(of path: String) throws -> String {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            throw FlashlayerError.system("open the image \(path)", .current, code: .notFound)
        }
        if status.st_mode & S_IFMT == S_IFBLK { return "raw" }
        return try GuestDisk.format(of: path)
    }
}

extension BootTest.Firmware {
    package var title: String {
        switch self {
        case .bios: "BIOS"
        case .uefi: "UEFI"
        case .secureBoot: "UEFI with Secure Boot"
        }
    }
}
