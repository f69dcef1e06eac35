// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials

/// What a guest said of itself after it had booted; see `BootTestSteps` for the lines.
package struct BootReport: Sendable, Equatable {
    package struct Check: Sendable, Equatable, Codable {
        package let command: String
        package let status: Int32
        package let output: String
    }

    /// In systemd's words: `running`, `degraded`, `maintenance`.
    package let state: String
    package let kernel: String
    /// `bios` or `uefi`: by which it really started.
    package let firmware: String
    package let failedUnits: [String]
    package let checks: [Check]

    /// - Parameter commands: of the checks, in their order.
    /// - Returns: nil as long as the report is not complete.
    package init?(_ text: String, commands: [String]) {
        let lines = text.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1).map(String.init) }
        guard lines.last == ["end"], text.hasSuffix("\n") else { return nil }
        func values(_ key: String) -> [String] { lines.filter { $0.first == key && $0.count > 1 }.map { $0[1] } }
        state = values("state").first ?? "unknown"
        kernel = values("kernel").first ?? "unknown"
        firmware = values("firmware").first ?? "unknown"
        failedUnits = values("failed")
        checks = values("check").compactMap { value in
            let fields = value.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard fields.count >= 2, let index = Int(fields[0]), commands.indices.contains(index),
                let status = Int32(fields[1])
            else { return nil }
            let output = fields.count > 2 ? Data(base64Encoded: fields[2]) : nil
            return Check(
                command: commands[index],
                status: status,
                output: String(decoding: output ?? Data(), as: UTF8.self)
            )
        }
    }

    /// Up, with nothing that failed, and every check passed.
    package var isGood: Bool {
        state == "running" && failedUnits.isEmpty && checks.allSatisfy { $0.status == 0 }
    }

    /// What is wrong, in one sentence.
    package var complaint: String? {
        if !failedUnits.isEmpty { return "failed units: \(failedUnits.joined(separator: ", "))" }
        if let check = checks.first(where: { $0.status != 0 }) {
            let output =
                check.output.isEmpty
                ? "" : ":\n  \(check.output.split(separator: "\n").suffix(5).joined(separator: "\n  "))"
            return "the check `\(check.command)` ended with status \(check.status)\(output)"
        }
        return state == "running" ? nil : "the system is \(state)"
    }
}
