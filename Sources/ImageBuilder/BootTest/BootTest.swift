// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import DiskImages
import FoundationEssentials
import Glibc
package import Layers
package import Model
import Programs
package import Resolution

/// Boots a disk in QEMU and lets it say how it is. Only a throwaway overlay is written to: the image or device itself is
/// opened for reading.
package struct BootTest: Sendable {
    package typealias Firmware = BootTestSettings.Firmware

    package struct Outcome: Sendable {
        package let firmware: Firmware
        package let accelerator: Accelerator
        /// Since 1970, in seconds.
        package let start: Int
        package let seconds: Double
        /// nil: nothing was heard of it in time.
        package let report: BootReport?
        /// The file with all that the serial console printed.
        package let serialLog: String
        /// What is wrong with the boot itself, apart from what was asserted.
        package let bootComplaint: String?
        /// nil: passed.
        package let error: FlashlayerError?
    }

    /// An image file or a block device.
    package let path: String
    package var firmware: [Firmware]
    /// For each boot. nil: 2 minutes, or 10 where machines are emulated.
    package var timeLimit: Duration?
    /// Of systemd; one that is not active once the system is up fails the test.
    package var units: [String]
    /// Shell text that is run in the guest once it is up; one that fails fails the test.
    package var checks: [String]
    /// The folder in which the consoles' logs are kept; nil: beside an image, else the current folder.
    package var serialLogs: String?

    package init(
        _ path: String,
        firmware: [Firmware],
        timeLimit: Duration? = nil,
        units: [String] = [],
        checks: [String] = [],
        serialLogs: String? = nil
    ) {
        self.path = path
        self.firmware = firmware
        self.timeLimit = timeLimit
        self.units = units
        self.checks = checks
        self.serialLogs = serialLogs
    }

    package var assertions: [BootAssertion] { units.map { .unit($0) } + checks.map { .command($0) } }

    /// - Parameter observer: is told what goes on.
    /// - Returns: one outcome for each firmware, in order.
    /// - Throws: when the test cannot be made: no such image, a program is missing.
    package func run(cache: Cache, observer: @escaping BuildObserver) async throws -> [Outcome] {
        let path = try Self.absolute(path)
        let format = try Self.format(of: path)
        let logs = SerialLogs(image: self.path, folder: serialLogs)
        let machines = try firmware.map { (try VirtualMachine(firmware: $0), try logs.start($0)) }
        try await HostCheck.appliance()
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
        _ machines: [(machine: VirtualMachine, serialLog: String)],
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
            stages: [.init(.finish, [.inspect, .mountFound] + BootTestSteps.steps(assertions) + [.unmount])]
        )
        try await ApplianceRun(job: job, log: log).run()
        var outcomes: [Outcome] = []
        for (machine, serialLog) in machines {
            log.tell(.activity("booting by \(machine.firmware.title)"))
            outcomes.append(try await boot(prepared, machine, serialLog, accelerator, work))
        }
        return outcomes
    }

    private func boot(
        _ prepared: String,
        _ machine: VirtualMachine,
        _ serialLog: String,
        _ accelerator: Accelerator,
        _ work: WorkFolder
    ) async throws -> Outcome {
        let name = machine.firmware.rawValue
        let disk = work.file("\(name).qcow2")
        try await QEMU.image().run(["create", "-q", "-f", "qcow2", "-b", prepared, "-F", "qcow2", disk])
        let files = VirtualMachine.Files(
            disk: disk,
            variables: work.file("\(name).vars"),
            console: serialLog,
            report: work.file("\(name).report")
        )
        let arguments = try machine.arguments(accelerator: accelerator, files: files)
        let limit = timeLimit ?? (accelerator == .kvm ? .seconds(120) : .seconds(600))
        let date = time(nil)
        let start = ContinuousClock.now
        let outcome = try await SpaceWatch(path: work.path).during {
            try await withTimeLimit(limit) { try await Self.runUntilReported(arguments, files.report) }
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let report = BootReport(Self.text(of: files.report), assertions: assertions)
        let bootComplaint = Self.complaint(report, assertions.count, machine.firmware, outcome, limit)
        let complaints = (bootComplaint.map { [$0] } ?? []) + (report?.checks.compactMap(\.complaint) ?? [])
        return Outcome(
            firmware: machine.firmware,
            accelerator: accelerator,
            start: date,
            seconds: seconds,
            report: report,
            serialLog: serialLog,
            bootComplaint: bootComplaint,
            error: complaints.isEmpty
                ? nil
                : FlashlayerError(
                    .bootFailed,
                    "\(path) did not come up well by \(machine.firmware.title): "
                        + complaints.joined(separator: "\n") + (report == nil ? Self.lastLines(of: serialLog) : ""),
                    advice: "its console is in \(serialLog)"
                )
        )
    }

    /// Ends when QEMU does, or a few seconds after the report is complete: the guest's last act is to switch itself off,
    /// but nothing hangs on that.
    private static func runUntilReported(_ arguments: [String], _ report: String) async throws -> Program.Outcome? {
        try await withThrowingTaskGroup(of: Program.Outcome?.self) { group in
            group.addTask { try await QEMU.program().outcome(arguments) }
            group.addTask {
                while BootReport(text(of: report), assertions: []) == nil {
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
        _ assertions: Int,
        _ firmware: Firmware,
        _ outcome: Program.Outcome??,
        _ limit: Duration
    ) -> String? {
        if let report {
            let expected = firmware == .bios ? "bios" : "uefi"
            guard report.firmware == expected else { return "it started by \(report.firmware)" }
            // What a test was not told of must not pass it.
            guard report.checks.count == assertions else { return "it did not say what came of every check" }
            return report.bootComplaint
        }
        guard let ended = outcome else { return "it said nothing within \(limit.components.seconds) s" }
        guard let ended, ended.status != 0 else { return "it switched itself off before it was up" }
        return "QEMU ended with status \(ended.status): \(ended.errors)"
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
