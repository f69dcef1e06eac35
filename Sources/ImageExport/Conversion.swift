// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import Glibc
import Model
import Programs
import Resolution
import Threads

/// `qemu-img convert` as a child that tells how far it is. It does not outlive us, however we end.
struct Conversion: Sendable {
    let source: String
    /// As QEMU calls it.
    let sourceFormat: String
    let target: String
    let form: ExportForm

    /// $1 and what follows: the program and its arguments. It is ended when standard input ends.
    private static let guardian = """
        exec 3<&0
        "$@" 3<&- & program=$!
        { read -r _ <&3; kill "$program"; } 2>/dev/null & waiter=$!
        wait "$program"; status=$?
        kill "$waiter" 2>/dev/null
        exit "$status"
        """

    /// - Parameter onProgress: is given the share that is done, from 0 to 1.
    /// - Throws: `no-space`, `cannot-create`, `bad-image`, `unavailable`; `CancellationError`.
    func run(onProgress: @escaping @Sendable (Double) -> Void) async throws {
        let program = try Program("qemu-img", debianPackage: "qemu-utils")
        let child = try ChildProgram(
            Program(at: "/bin/sh"),
            ["-c", Self.guardian, "sh", program.path] + arguments,
            input: .held
        )
        let outcome = try await withTaskCancellationHandler {
            try await onOwnThread(named: "convert-image") {
                Self.follow(child.output, onProgress)
                return try child.waitForEnd()
            }
        } onCancel: {
            child.stop()
        }
        try Task.checkCancellation()
        guard outcome.status == 0 else { throw failure(outcome) }
    }

    /// See qemu-img(1).
    var arguments: [String] {
        var arguments = ["convert", "-p", "-f", sourceFormat, "-O", form.driver]
        // What is compressed is written in order.
        arguments += form.isCompressed ? ["-c"] : ["-W", "-m", "8"]
        let options = form.driverOptions
        if !options.isEmpty { arguments += ["-o", options.joined(separator: ",")] }
        return arguments + ["--", source, target]
    }

    /// Reads `(12.34/100%)` until the program closes its output.
    private static func follow(_ descriptor: Int32, _ onProgress: (Double) -> Void) {
        defer { close(descriptor) }
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            text += String(decoding: buffer[..<count], as: UTF8.self)
            let parts = text.split(separator: ")", omittingEmptySubsequences: false)
            if parts.count > 1, let share = share(in: parts[parts.count - 2]) { onProgress(share) }
            text = String(parts.last ?? "")
        }
    }

    /// "    (12.34/100%" -> 0.1234
    static func share(in text: some StringProtocol) -> Double? {
        guard let start = text.lastIndex(of: "("), let slash = text[start...].firstIndex(of: "/") else { return nil }
        return Double(text[text.index(after: start)..<slash]).map { min(1, max(0, $0 / 100)) }
    }

    /// Bytes: what a compressed cluster or grain takes at most.
    private static let leastFree = 64 * ByteSize.kibibyte

    private func failure(_ outcome: Program.Outcome) -> FlashlayerError {
        let said = outcome.errors.split(separator: "\n").suffix(3).joined(separator: "\n  ")
        let advice = "what was there before is there still"
        let isSource = said.contains("error while reading") || said.contains("Could not open '\(source)'")
        // Where qemu-img compresses it says "Invalid argument" of a full file system; what it has written is there still.
        let isFull = !isSource && (Cache.freeSpace(at: StagingFolder.parent(of: target)) ?? .max) < Self.leastFree
        if isFull || said.contains("No space left on device") || said.contains("Disk quota exceeded") {
            return FlashlayerError(
                .noSpace,
                "the file system that takes \(target) is full",
                advice: "free space there, or name another place; \(advice)"
            )
        }
        if outcome.status == 128 + SIGXFSZ || said.contains("File too large") {
            return FlashlayerError(
                .cannotCreate,
                "\(target) would be larger than a file may be there",
                advice: "name a place on another file system, raise the limit (ulimit -f), or take a smaller format"
            )
        }
        return FlashlayerError(
            isSource ? .badImage : .cannotCreate,
            "qemu-img ended with status \(outcome.status)\(said.isEmpty ? "" : ":\n  \(said)")"
        )
    }
}

extension ExportForm {
    /// What QEMU calls the disk of this form: that within the archive, where it is one.
    var driver: String {
        switch format {
        case .raw, .qcow2, .vdi, .vmdk, .vhdx, .vpc: format.rawValue
        case .ova: "vmdk"
        case .vagrant: "qcow2"
        }
    }

    var driverOptions: [String] {
        switch (format, subformat) {
        // A disk of SCSI or SATA goes with any controller but IDE; the default of QEMU is IDE's.
        case (.vmdk, let subformat?): ["subformat=\(subformat.rawValue)", "adapter_type=lsilogic"]
        case (.ova, _): ["subformat=streamOptimized", "adapter_type=lsilogic"]
        // Without it the disk would be rounded up to whole cylinders, and not be the image any more.
        case (.vpc, let subformat?): ["subformat=\(subformat.rawValue)", "force_size=on"]
        case (.vhdx, let subformat?): ["subformat=\(subformat.rawValue)"]
        case (.vdi, .fixed): ["static=on"]
        default: []
        }
    }
}
