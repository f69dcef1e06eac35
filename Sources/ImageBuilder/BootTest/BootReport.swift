// SPDX-License-Identifier: Apache-2.0
// Copyright the flashlayer authors

import FoundationEssentials
package import Layers
import Model

/// What a guest said of itself after it had booted; see `BootTestSteps` for the lines.
package struct BootReport: Sendable, Equatable {
    /// What came of an assertion.
    package struct Check: Sendable, Equatable {
        package let assertion: BootAssertion
        package let status: Int32
        package let seconds: Double
        /// The first 64 KiB.
        package let output: String

        package var passed: Bool { status == 0 }

        /// nil: it passed.
        package var complaint: String? {
            guard !passed else { return nil }
            let lines = output.split(whereSeparator: \.isNewline).suffix(5).map { "\n  \(Printable.line(String($0)))" }
            let text = lines.isEmpty ? "" : ":" + lines.joined()
            switch assertion {
            case .unit(let name):
                return "the unit \(name) is not active\(text)"
            case .command(let command):
                // What timeout(1) ends with.
                let how =
                    status == 124
                    ? "did not end within \(BootTestSteps.timeLimit) s" : "ended with status \(status)"
                return "the check `\(Printable.line(command))` \(how)\(text)"
            }
        }
    }

    /// In systemd's words: `running`, `degraded`, `maintenance`.
    package let state: String
    package let kernel: String
    /// `bios` or `uefi`: by which it really started.
    package let firmware: String
    package let failedUnits: [String]
    package let checks: [Check]

    /// - Parameter assertions: in the order in which the guest was given them.
    /// - Returns: nil as long as the report is not complete.
    package init?(_ text: String, assertions: [BootAssertion]) {
        let lines = text.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1).map(String.init) }
        guard lines.last == ["end"], text.hasSuffix("\n") else { return nil }
        func values(_ key: String) -> [String] { lines.filter { $0.first == key && $0.count > 1 }.map { $0[1] } }
        state = values("state").first ?? "unknown"
        kernel = values("kernel").first ?? "unknown"
        firmware = values("firmware").first ?? "unknown"
        failedUnits = values("failed")
        checks = values("check").compactMap { value in
            let fields = value.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
            guard fields.count >= 4, let index = Int(fields[0]), assertions.indices.contains(index),
                let status = Int32(fields[1]), let start = Double(fields[2]), let end = Double(fields[3])
            else { return nil }
            let output = fields.count > 4 ? Data(base64Encoded: fields[4]) : nil
            return Check(
                assertion: assertions[index],
                status: status,
                seconds: max(0, end - start),
                output: String(decoding: output ?? Data(), as: UTF8.self)
            )
        }
    }

    /// Up, with nothing that failed, and all that was asserted holds.
    package var isGood: Bool { complaint == nil }

    /// What is wrong with the system itself, in one sentence.
    package var bootComplaint: String? {
        if !failedUnits.isEmpty { return "failed units: \(failedUnits.joined(separator: ", "))" }
        return state == "running" ? nil : "the system is \(state)"
    }

    /// What is wrong, all of it.
    package var complaint: String? {
        let complaints = (bootComplaint.map { [$0] } ?? []) + checks.compactMap(\.complaint)
        return complaints.isEmpty ? nil : complaints.joined(separator: "\n")
    }
}
